import type { SharedGroup } from '../topics/shared-subscriptions.ts'
import type { Subscription } from '../messages/receiver.ts'

/** What brokers that work together must know of a message beside its content. */
export class Travel {
  /** Another broker published it: that one has chosen the members of shared subscriptions and told the store. */
  readonly isForeign: boolean
  /** It is only for members of shared subscriptions: everybody else has it already. */
  readonly onlyShared: boolean
  /** The queues that it was stored for, by `queueOf`. */
  readonly stored: ReadonlySet<string>
  /** The member that each shared subscription has for it, by the Topic Filter with `$share/name/`; '' for an application. */
  readonly choices: Map<string, string>
  /** Other brokers are still to get it. */
  isDue = false

  constructor(
    isForeign: boolean,
    onlyShared: boolean = false,
    stored: ReadonlySet<string> = new Set(),
    choices: Map<string, string> = new Map(),
  ) {
    this.isForeign = isForeign
    this.onlyShared = onlyShared
    this.stored = stored
    this.choices = choices
  }

  isStoredFor(clientId: string, group: SharedGroup<Subscription> | undefined): boolean {
    return this.stored.has(queueOf(clientId, group && sharedFilterOf(group)))
  }
}

/** A Client's queue, and the shared subscription for which it has a message there. */
export function queueOf(clientId: string, sharedFilter: string | undefined): string {
  return `${sharedFilter ?? ''}\0${clientId}`
}

export function sharedFilterOf({ shareName, topicFilter }: SharedGroup<Subscription>): string {
  return `$share/${shareName}/${topicFilter}`
}
