import type { SharedGroup } from '../topics/shared-subscriptions.ts'
import type { Subscription } from '../messages/receiver.ts'

// Most messages are for no shared subscription, and those of this broker are stored for nobody yet. Never written to.
const NOWHERE: ReadonlySet<string> = new Set()

/** What brokers that work together must know of a message beside its content. */
export class Travel {
  /** Another broker published it: that one has chosen the members of shared subscriptions and told the store. */
  readonly isForeign: boolean
  /** It is only for members of shared subscriptions: everybody else has it already. */
  readonly onlyShared: boolean
  /** The queues that another broker stored it for, by `queueOf`. */
  readonly stored: ReadonlySet<string>
  /** The member that each shared subscription has for it, by its Topic Filter; '' for an application. */
  #choices: Map<string, string> | undefined
  /** Other brokers are still to get it. */
  isDue = false

  constructor(
    isForeign: boolean,
    onlyShared: boolean = false,
    stored: ReadonlySet<string> = NOWHERE,
    choices?: readonly (readonly [sharedFilter: string, clientId: string])[],
  ) {
    this.isForeign = isForeign
    this.onlyShared = onlyShared
    this.stored = stored
    this.#choices = choices && new Map(choices)
  }

  get choices(): readonly (readonly [sharedFilter: string, clientId: string])[] {
    return this.#choices === undefined ? [] : [...this.#choices]
  }

  choose({ sharedFilter }: SharedGroup<Subscription>, { receiver }: Subscription): void {
    this.#choices ??= new Map()
    this.#choices.set(sharedFilter, receiver.clientId ?? '')
  }

  /** The Client Identifier of the member; undefined when the broker that published knew of none. */
  chosen({ sharedFilter }: SharedGroup<Subscription>): string | undefined {
    return this.#choices?.get(sharedFilter)
  }

  isStoredFor(clientId: string, group: SharedGroup<Subscription> | undefined): boolean {
    return this.isForeign && this.stored.has(queueOf(clientId, group?.sharedFilter))
  }
}

/** A Client's queue, and the shared subscription for which it has a message there. */
export function queueOf(clientId: string, sharedFilter: string | undefined): string {
  return `${sharedFilter ?? ''}\0${clientId}`
}
