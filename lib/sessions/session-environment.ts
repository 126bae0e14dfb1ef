import type { DropReason } from '../../types/events.ts'
import type { Limits } from '../../types/options.ts'
import type { FlushScheduler } from '../flush-scheduler.ts'
import type { Hooks } from '../hooks.ts'
import type { Message } from '../messages/message.ts'
import type { RetainedMessages } from '../messages/retained-messages.ts'
import type { Timers } from '../timers.ts'
import type { Delivery } from './delivery.ts'
import type { QueueTotals } from './outbound-queue.ts'
import type { QueueExpiry } from './queue-expiry.ts'
import type { SharedQueues } from './shared-queues.ts'

/** The parts of the broker that a session uses. */
export interface SessionEnvironment {
  readonly settings: { readonly limits: Readonly<Limits> }
  readonly timers: Timers
  readonly scheduler: FlushScheduler
  readonly hooks: Hooks
  readonly retained: RetainedMessages
  readonly queueTotals: QueueTotals
  readonly expiry: QueueExpiry
  readonly shared: SharedQueues
  /**
   * Gives a message of a shared subscription that this member cannot take to another one. Returns false if there is none
   * that can.
   */
  passOn(delivery: Delivery, clientId: string): boolean
  /** Called for a message that a subscriber does not receive. */
  dropped(message: Message, clientId: string, why: DropReason): void
}
