import type { BrokerEvents } from '../../types/events.ts'
import type { Client } from '../connection/client.ts'
import type { OpenConnection } from '../connection/connections.ts'
import type { FlushScheduler } from '../flush-scheduler.ts'
import type { Hooks } from '../hooks.ts'
import type { MessageId } from '../messages/message-id.ts'
import type { RetainedMessages } from '../messages/retained-messages.ts'
import type { Router } from '../messages/router.ts'
import type { WillMessages } from '../messages/will-messages.ts'
import type { Settings } from '../options.ts'
import type { Predecessors } from '../sessions/predecessors.ts'
import type { SessionRegistry } from '../sessions/session-registry.ts'
import type { UndecidedConnects } from '../sessions/undecided-connects.ts'
import type { Statistics } from '../statistics.ts'
import type { CommitQueue } from '../storage/commit-queue.ts'
import type { Timers } from '../timers.ts'

/** Sessions that other brokers may have. */
export interface SharedSessions {
  /** Brings the session of a Client to this broker. The function that it returns is called when that is settled. */
  acquire(clientId: string, principal: string | undefined, isKept: boolean): Promise<() => void>
  /** The Client left before it had the session that was brought here for it. */
  abandoned(clientId: string): void
  /** The Clients of all brokers that have this message already. */
  whoHad(id: MessageId | undefined): Promise<ReadonlySet<string>>
}

/** The parts of one broker that its connections and the handlers of their packets take. Two brokers share none. */
export interface BrokerContext {
  readonly settings: Settings
  readonly timers: Timers
  readonly scheduler: FlushScheduler
  readonly hooks: Hooks
  readonly statistics: Statistics
  readonly sessions: SessionRegistry
  readonly router: Router
  readonly retained: RetainedMessages
  readonly wills: WillMessages
  readonly predecessors: Predecessors
  readonly undecidedConnects: UndecidedConnects
  /** Undefined when no other broker has sessions. */
  readonly ownership: SharedSessions | undefined
  /** Undefined when nothing outlives the process. */
  readonly commits: CommitQueue | undefined
  /** The Network Connection is closed. */
  connectionClosed(connection: OpenConnection): void
  clientConnected(client: Client, sessionPresent: boolean): void
  clientDisconnected(client: Client): void
  /** Emits an event; a listener that throws is reported and does not stop the others. */
  notify<Name extends keyof BrokerEvents>(name: Name, ...values: BrokerEvents[Name]): void
  /** Reports a fault that is not a Client's. */
  reportError(error: Error): void
}
