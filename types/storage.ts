/**
 * The port between a broker and the place where it keeps sessions, queued messages, retained messages and Wills:
 * what a store has to implement, and what it may use of its broker.
 */
import type { Emitter } from './emitter.ts'
import type { PersistedPublish, PersistedSessionState, PersistedState, PersistenceOperation } from './persistence.ts'

/**
 * A store. One object serves one broker, from `open` to `close`. `haltere/testing` has the suite for it.
 *
 * The broker keeps a copy of everything in memory: it reads the store once at the start (`readAll`) and after that only
 * writes (`commit`). Only brokers that share a store read single sessions (`readSession`).
 */
export interface Storage {
  /** Opens the store; called once, before anything else. Rejects when the store cannot be used: no broker starts then. */
  open(broker: StorageBroker): Promise<void>
  /** Everything that is stored (sessions and retained messages, `$…` topics included), for the start of a broker. */
  readAll(): AsyncIterable<PersistedState>
  /** One session, for example after another broker had it; undefined when there is none. */
  readSession(clientId: string): Promise<PersistedSessionState | undefined>
  /**
   * Stores a list of changes in its order, and resolves when they are as safe as this store can make them: Clients get
   * their acknowledgements then. It rejects when any of them failed; the broker commits the whole list again later, so a
   * store either stores all of a list or none of it, or can store a change twice. The operations stay unchanged and may
   * be kept. An operation about something that is not stored changes nothing. The broker never overlaps two calls.
   */
  commit(operations: readonly PersistenceOperation[]): Promise<unknown>
  /**
   * Not needed when `incoming` of each session that is read has all its open QoS 2 exchanges. A store that cannot list
   * them is asked once for each Packet Identifier that comes in for a session that was read: `unknown`; `accepted`: the
   * message was published before the process ended; or the packet with its `brokerId` and `brokerCounter`: the process
   * ended while the message was being published. The broker then publishes it again under this name to the queues that
   * do not have it.
   */
  readonly findIncoming?: FindIncoming | undefined
  /** The beginning of the topics that the store needs for itself: Clients cannot use them. */
  readonly reserved?: string | undefined
  /**
   * Set, once the store is open, when several brokers can use what is stored at the same time, each with an object of
   * its own. Brokers with an `emitter` then share their sessions: a Client finds its session at each of them.
   */
  readonly shared?: SharedReading | undefined
  /** Called once, after everything else; not when `open` rejected. */
  close(): Promise<void>
}

/** See {@link Storage.findIncoming}. */
export type FindIncoming = (clientId: string, messageId: number) => Promise<'unknown' | 'accepted' | PersistedPublish>

/** What a broker reads to know what the other brokers have changed. */
export interface SharedReading {
  /** All sessions, without their queues. */
  readSessions(): AsyncIterable<Pick<PersistedSessionState, 'clientId' | 'session' | 'subscriptions'>>
  /** All retained messages. */
  readRetained(): AsyncIterable<PersistedPublish>
}

/** What a store may use of its broker. */
export interface StorageBroker {
  /** Different at every start and without `:`; a later one sorts after an earlier one. */
  readonly id: string
  /** Carries messages between brokers; the broker's own when there is one broker. */
  readonly emitter: Emitter
  /** Tells the application something about its store. */
  warn(message: string): void
  /** Milliseconds since 1970. */
  now(): number
}
