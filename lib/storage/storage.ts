import type { Emitter } from '../../types/emitter.ts'
import type {
  PersistedPublish,
  PersistedSessionState,
  PersistedState,
  PersistenceOperation,
} from '../../types/persistence.ts'

/** What the broker asks of a store, whatever the store is: one that has `commit` or one made for aedes. */
export interface Storage {
  /** Opens the store. Rejects when it cannot be used. */
  open(): Promise<void>
  /** Everything that is kept (sessions and retained messages), for the start of a broker. */
  readAll(): AsyncIterable<PersistedState>
  /** One session, e.g. after another broker had it; undefined when there is none. */
  readSession(clientId: string): Promise<PersistedSessionState | undefined>
  /**
   * Does all of it in order; resolves when it is safe; rejects when any of it failed (then a part may be done).
   * The caller never overlaps two calls.
   */
  commit(operations: readonly PersistenceOperation[]): Promise<unknown>
  /**
   * Undefined when `readAll` gave all open incoming QoS 2 exchanges of sessions. Otherwise the broker asks this once
   * per Packet Identifier of a session that was read: `unknown`; `accepted`: handed on before the crash; the packet
   * with its name: it was being handed on when the process ended, so hand it on now under this very name to those
   * queues that do not have it yet, then it is accepted.
   */
  readonly findIncoming?: FindIncoming | undefined
  /** How topics begin that the store needs for itself; undefined when it needs none. */
  readonly reserved?: string | undefined
  /** Set when brokers can share the store, each with a backend of its own. */
  readonly shared?: SharedReading | undefined
  close(): Promise<void>
}

export type FindIncoming = (clientId: string, messageId: number) => Promise<'unknown' | 'accepted' | PersistedPublish>

/** What a broker looks through to know what the others have changed. */
export interface SharedReading {
  /** All sessions, without what is queued for them. */
  readSessions(): AsyncIterable<Pick<PersistedSessionState, 'clientId' | 'session' | 'subscriptions'>>
  readRetained(): AsyncIterable<PersistedPublish>
}

/** What a store may use of the broker. */
export interface StorageBroker {
  /** Different at every start, later ones sort after earlier ones, and without `:`. */
  readonly id: string
  readonly emitter: Emitter
  /** Says what the application should know of its store. */
  warn(text: string): void
  /** Milliseconds since 1970. */
  now(): number
}

export interface StorageOptions {
  /** Milliseconds that one call of a method of the store may take. @defaultValue 5000 */
  readonly callTimeout?: number
  /** Milliseconds that `setup` may take. @defaultValue 30000 */
  readonly setupTimeout?: number
}
