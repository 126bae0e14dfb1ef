import type { BrokerEvents } from '../../types/events.ts'
import type { SessionOperations } from '../administration/client-session.ts'
import type { Cluster } from '../cluster/cluster.ts'
import type { ConnectedClients } from '../connection/connected-clients.ts'
import type { Connections } from '../connection/connections.ts'
import type { Notify, NotifyAfter } from '../events.ts'
import type { FlushScheduler } from '../flush-scheduler.ts'
import type { Hooks } from '../hooks.ts'
import type { RetainedMessages } from '../messages/retained-messages.ts'
import type { Router } from '../messages/router.ts'
import type { WillMessages } from '../messages/will-messages.ts'
import type { Settings } from '../options.ts'
import type { Predecessors } from '../sessions/predecessors.ts'
import type { SharedQueues } from '../sessions/shared-queues.ts'
import type { SessionRegistry } from '../sessions/session-registry.ts'
import type { UndecidedConnects } from '../sessions/undecided-connects.ts'
import type { Statistics } from '../statistics.ts'
import type { CommitQueue } from '../storage/commit-queue.ts'
import type { Timers } from '../timers.ts'

/** The parts of one broker that its connections and the handlers of their packets use. */
export interface BrokerContext {
  readonly settings: Settings
  readonly timers: Timers
  readonly scheduler: FlushScheduler
  readonly hooks: Hooks
  readonly statistics: Statistics
  readonly sessions: SessionRegistry
  readonly router: Router
  readonly retained: RetainedMessages
  readonly shared: SharedQueues
  readonly wills: WillMessages
  readonly predecessors: Predecessors
  readonly undecidedConnects: UndecidedConnects
  readonly cluster: Pick<Cluster, 'acquire' | 'abandoned' | 'whoHad'>
  /** Undefined without a storage. */
  readonly commits: CommitQueue | undefined
  readonly connections: Connections
  readonly clients: ConnectedClients
  /** Changes of sessions by the application. */
  readonly administration: SessionOperations
  /** Whether an event has a listener. */
  readonly hasListener: (name: keyof BrokerEvents) => boolean
  /** Emits an event; a listener that throws is reported and does not stop the others. */
  readonly notify: Notify
  readonly notifyAfter: NotifyAfter
  /** Reports an error that no Client has caused. */
  reportError(error: Error): void
}
