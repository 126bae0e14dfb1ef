/**
 * The port between a broker and its store of sessions, queued messages, retained messages and Wills: the interface of a
 * store, and the members of its broker that it may use.
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
  /** Opens the store; called once, before all other methods. If it rejects, the broker does not start. */
  open(broker: StorageBroker): Promise<void>
  /** All stored sessions and retained messages, `$…` topics included, for the start of a broker. */
  readAll(): AsyncIterable<PersistedState>
  /** One session, for example after another broker had it; undefined if there is none. */
  readSession(clientId: string): Promise<PersistedSessionState | undefined>
  /**
   * Stores a list of changes in its order, and resolves when they have the durability of the store: Clients get
   * their acknowledgements then. It rejects if any of them failed; the broker commits the whole list again later, so a
   * store either stores all of a list or none of it, or can store a change twice. The operations stay unchanged and may
   * be kept. An operation on an object that is not stored changes nothing. The broker never overlaps two calls.
   */
  commit(operations: readonly PersistenceOperation[]): Promise<unknown>
  /**
   * Not needed if `incoming` of each session that is read has all its open QoS 2 exchanges. A store that cannot list
   * them is asked once for each Packet Identifier that comes in for a session that was read: `unknown`; `accepted`: the
   * message was published before the process ended; or the packet with its `brokerId` and `brokerCounter`: the process
   * ended while the message was being published. The broker then publishes it again under this id to the queues that lack
   * it.
   */
  readonly findIncoming?: FindIncoming | undefined
  /**
   * True if a queue can have each message only once, by its `brokerId` and `brokerCounter`. Then a Client whose session is
   * stored gets one copy of a message, whatever `copyPerSubscription` says. Default: false.
   */
  readonly oneCopyPerQueue?: boolean | undefined
  /** The beginning of topics that the store reserves: Clients cannot use them. */
  readonly reserved?: string | undefined
  /**
   * Set after `open` if several brokers can use the store at the same time, each with an object of its own. Brokers with an `emitter` then share their sessions: a Client finds its session at each of them.
   */
  readonly shared?: SharedReading | undefined
  /** Called once, after all other methods; not if `open` rejected. */
  close(): Promise<void>
}

/** See {@link Storage.findIncoming}. */
export type FindIncoming = (clientId: string, messageId: number) => Promise<'unknown' | 'accepted' | PersistedPublish>

/** Reads the changes of other brokers. */
export interface SharedReading {
  /** All sessions, without their queues. */
  readSessions(): AsyncIterable<Pick<PersistedSessionState, 'clientId' | 'session' | 'subscriptions'>>
  /** All retained messages. */
  readRetained(): AsyncIterable<PersistedPublish>
}

/** The members of its broker that a store may use. */
export interface StorageBroker {
  /** Different at every start and without `:`; a later one sorts after an earlier one. */
  readonly id: string
  /** Carries messages between brokers; that of the broker if it is alone. */
  readonly emitter: Emitter
  /** Warns the application. */
  warn(message: string): void
  /** Milliseconds since 1970. */
  now(): number
}
