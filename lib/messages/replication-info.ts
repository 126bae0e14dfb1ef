// Most messages are for no shared subscription, and those of this broker are in no queue of a peer. Never written to.
const NO_QUEUES: ReadonlySet<string> = new Set()

/** What other brokers must know of a message beside its content. */
export class ReplicationInfo {
  /** Another broker published it: that one has chosen the members of shared subscriptions and stored the message. */
  readonly fromPeer: boolean
  /** It is only for members of shared subscriptions: all other subscribers have it already. */
  readonly sharedOnly: boolean
  /** The queues into which another broker stored it, by `queueOf`. */
  readonly storedFor: ReadonlySet<string>
  /** The member that each shared subscription has for it, by its Topic Filter; '' for an application. */
  #sharedMembers: Map<string, string> | undefined

  constructor(
    fromPeer: boolean,
    sharedOnly: boolean = false,
    storedFor: ReadonlySet<string> = NO_QUEUES,
    sharedMembers?: readonly (readonly [sharedFilter: string, clientId: string])[],
  ) {
    this.fromPeer = fromPeer
    this.sharedOnly = sharedOnly
    this.storedFor = storedFor
    this.#sharedMembers = sharedMembers && new Map(sharedMembers)
  }

  choose(sharedFilter: string, clientId: string | undefined): void {
    this.#sharedMembers ??= new Map()
    this.#sharedMembers.set(sharedFilter, clientId ?? '')
  }

  /** The Client Identifier of the member; undefined when the broker that published knew of none. */
  chosen(sharedFilter: string): string | undefined {
    return this.#sharedMembers?.get(sharedFilter)
  }

  get sharedMembers(): readonly (readonly [sharedFilter: string, clientId: string])[] {
    return this.#sharedMembers === undefined ? [] : [...this.#sharedMembers]
  }

  isStoredFor(clientId: string, sharedFilter: string | undefined): boolean {
    return this.fromPeer && this.storedFor.has(queueOf(clientId, sharedFilter))
  }
}

/** A Client's queue, and the shared subscription for which it has a message there. */
export function queueOf(clientId: string, sharedFilter: string | undefined): string {
  return `${sharedFilter ?? ''}\0${clientId}`
}
