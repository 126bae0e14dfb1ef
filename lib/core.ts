import type { BrokerEvents } from '../types/events.ts'
import type { Client } from './connection/client.ts'
import type { Cluster } from './cluster/cluster.ts'
import type { Connection } from './connection/connection.ts'
import type { CommitQueue } from './storage/commit-queue.ts'
import type { Hooks } from './hooks.ts'
import type { RetainedMessages } from './messages/retained-messages.ts'
import type { Subscriptions } from './messages/subscriptions.ts'
import type { Router } from './messages/router.ts'
import type { WillMessages } from './messages/will-messages.ts'
import type { Settings } from './options.ts'
import type { SessionRegistry } from './sessions/session-registry.ts'
import type { Statistics } from './statistics.ts'
import type { QueueTotals } from './sessions/outbound-queue.ts'
import type { SessionGaps } from './sessions/session-environment.ts'
import type { Message } from './messages/message.ts'
import type { DropReason } from '../types/events.ts'
import type { Timers } from './timers.ts'
import type { FlushScheduler } from './flush-scheduler.ts'

/** The parts of one broker, as its connections and handlers see them. Two brokers share none. */
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
  /** Another one at each start of a broker, and in the order of the starts. */
  readonly bootId: string
  /** The other brokers. */
  readonly cluster: Cluster
  readonly queueTotals: QueueTotals
  readonly gaps: SessionGaps
  /** A subscriber does not get a message. */
  dropped(message: Message, clientId: string, why: DropReason): void
  /** What is to outlive the process; undefined when nothing is. */
  readonly commits: CommitQueue | undefined
  /** Network connections that are not closed, and the Clients that were let in. */
  connectionClosed(connection: Connection): void
  clientConnected(client: Client, sessionPresent: boolean): void
  clientDisconnected(client: Client): void
  /** Emits an event; a listener that throws is reported and harms nobody else. */
  notify<Name extends keyof BrokerEvents>(name: Name, ...values: BrokerEvents[Name]): void
  /** A fault that is not a Client's. */
  reportError(error: Error): void
}
