// Shared by all messages of this broker; never written to.
const NO_QUEUES: ReadonlySet<string> = new Set()

/** The fields of a publication that peers need beside the message. */
export class ReplicationInfo {
  /** A peer published the message, chose the members of shared subscriptions and stored it. */
  readonly fromPeer: boolean
  /** Only for members of shared subscriptions, because all other subscribers have the message already. */
  readonly sharedOnly: boolean
  /** Not for members of shared subscriptions: another broker chooses them. */
  isForExclusive = false
  /** The queues in which the peer stored the message, by `queueOf`. */
  readonly storedFor: ReadonlySet<string>
  /** Client Identifier of the chosen member of each shared subscription, by Topic Filter; '' for an application. */
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

  /** The Client Identifier of the chosen member; undefined if the publishing broker knew no member. */
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

/** Identifies the messages of one shared subscription, or of none, in the queue of a session. */
export function queueOf(clientId: string, sharedFilter: string | undefined): string {
  return `${sharedFilter ?? ''}\0${clientId}`
}
