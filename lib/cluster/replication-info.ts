// Most messages are for no shared subscription, and those of this broker are stored for nobody yet. Never written to.
const NOWHERE: ReadonlySet<string> = new Set()

/** What brokers that work together must know of a message beside its content. */
export class ReplicationInfo {
  /** Another broker published it: that one has chosen the members of shared subscriptions and told the store. */
  readonly fromPeer: boolean
  /** It is only for members of shared subscriptions: everybody else has it already. */
  readonly sharedOnly: boolean
  /** The queues that another broker stored it for, by `queueOf`. */
  readonly stored: ReadonlySet<string>
  /** The member that each shared subscription has for it, by its Topic Filter; '' for an application. */
  #sharedMembers: Map<string, string> | undefined

  constructor(
    fromPeer: boolean,
    sharedOnly: boolean = false,
    stored: ReadonlySet<string> = NOWHERE,
    sharedMembers?: readonly (readonly [sharedFilter: string, clientId: string])[],
  ) {
    this.fromPeer = fromPeer
    this.sharedOnly = sharedOnly
    this.stored = stored
    this.#sharedMembers = sharedMembers && new Map(sharedMembers)
  }

  get choices(): readonly (readonly [sharedFilter: string, clientId: string])[] {
    return this.#sharedMembers === undefined ? [] : [...this.#sharedMembers]
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
    return this.fromPeer && this.stored.has(queueOf(clientId, sharedFilter))
  }
}

/** A Client's queue, and the shared subscription for which it has a message there. */
export function queueOf(clientId: string, sharedFilter: string | undefined): string {
  return `${sharedFilter ?? ''}\0${clientId}`
}
