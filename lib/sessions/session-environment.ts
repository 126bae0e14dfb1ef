import type { DropReason } from '../../types/events.ts'
import type { Limits } from '../../types/options.ts'
import type { FlushScheduler } from '../flush-scheduler.ts'
import type { Hooks } from '../hooks.ts'
import type { Message } from '../messages/message.ts'
import type { QueuedMessage } from '../messages/queued-message.ts'
import type { RetainedMessages } from '../messages/retained-messages.ts'
import type { Timers } from '../timers.ts'
import type { Delivery } from './delivery.ts'
import type { QueueTotals } from './outbound-queue.ts'

/** The parts of the broker that a session uses. */
export interface SessionEnvironment {
  readonly settings: { readonly limits: Readonly<Limits> }
  readonly timers: Timers
  readonly scheduler: FlushScheduler
  readonly hooks: Hooks
  readonly retained: RetainedMessages
  readonly queueTotals: QueueTotals
  readonly gaps: SessionGaps
  /** A subscriber does not get a message. */
  dropped(message: Message, clientId: string, why: DropReason): void
}

/**
 * Sessions whose queue is read again from the storage, since the word of what another broker stored for them was lost.
 * The cluster has this; a single broker loses nothing.
 */
export interface SessionGaps {
  /** Takes a delivery that another broker stored for the session; false when the session's queue has no gap. */
  defer(outbound: object, delivery: Delivery): boolean
  /** The session has no more to do with the message. */
  finished(outbound: object, content: QueuedMessage): void
}

export const noGaps: SessionGaps = {
  defer: () => false,
  finished: () => undefined,
}
