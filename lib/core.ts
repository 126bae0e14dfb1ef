import type { BrokerEvents } from '../types/events.ts'
import type { Client } from './connection/client.ts'
import type { SessionOwnership } from './cluster/session-ownership.ts'
import type { Connection } from './connection/connection.ts'
import type { CommitQueue } from './storage/commit-queue.ts'
import type { Hooks } from './hooks.ts'
import type { RetainedMessages } from './messages/retained-messages.ts'
import type { Subscriptions } from './messages/subscriptions.ts'
import type { Router } from './messages/router.ts'
import type { WillMessages } from './messages/will-messages.ts'
import type { Settings } from './options.ts'
import type { Predecessors } from './sessions/predecessors.ts'
import type { UndecidedConnects } from './sessions/undecided-connects.ts'
import type { SessionRegistry } from './sessions/session-registry.ts'
import type { Statistics } from './statistics.ts'
import type { DropReason } from '../types/events.ts'
import type { Message } from '../types/message.ts'
import type { QueueTotals } from './sessions/outbound-queue.ts'
import type { SessionGaps } from './sessions/session-environment.ts'
import type { Timers } from './timers.ts'
import type { FlushScheduler } from './flush-scheduler.ts'

/** The parts of one broker that connections, handlers, sessions and the cluster use; `assembly.ts` makes them. */
export interface Core {
  readonly settings: Settings
  readonly timers: Timers
  readonly scheduler: FlushScheduler
  readonly hooks: Hooks
  readonly statistics: Statistics
  readonly sessions: SessionRegistry
  readonly router: Router
  readonly subscriptions: Subscriptions
  readonly retained: RetainedMessages
  readonly wills: WillMessages
  readonly predecessors: Predecessors
  readonly undecidedConnects: UndecidedConnects
  /** Different at each start of a broker, and sorted by start. */
  readonly bootId: string
  /** The sessions of other brokers; undefined until they are known, and without other brokers. */
  ownership: SessionOwnership | undefined
  readonly queueTotals: QueueTotals
  gaps: SessionGaps
  /** A subscriber does not get a message. */
  dropped(message: Message, clientId: string, why: DropReason): void
  /** Undefined when nothing outlives the process. */
  readonly commits: CommitQueue | undefined
  connectionClosed(connection: Connection): void
  clientConnected(client: Client, sessionPresent: boolean): void
  clientDisconnected(client: Client): void
  /** Emits an event; a listener that throws is reported and harms nothing else. */
  notify<Name extends keyof BrokerEvents>(name: Name, ...values: BrokerEvents[Name]): void
  /** A fault that is not a Client's. */
  reportError(error: Error): void
}
