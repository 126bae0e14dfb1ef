import type { Client } from '../../types/client.ts'
import type { Message as PublicMessage } from '../../types/message.ts'
import type { Subscription } from '../messages/subscriber.ts'
import type { Timer } from '../timers.ts'
import type { Delivery } from './delivery.ts'
import { IncomingQos2 } from './incoming-qos2.ts'
import type { QueueTotals } from './outbound-queue.ts'
import { Outbound } from './outbound.ts'
import type { SessionConnection } from './session-connection.ts'
import type { SessionEnvironment } from './session-environment.ts'
import type { SessionStorage } from './session-storage.ts'

/** A Will before its publication (section 3.1.2.5). */
export interface StoredWill {
  /** The Will Message as the Client sent it. */
  readonly message: PublicMessage
  /** The Will Message as the `authorizePublish` hook returned it at CONNECT. */
  readonly permitted: PublicMessage
  /** Will Delay Interval in seconds. */
  readonly delay: number
  /** Undefined if the Will was stored by an earlier process. */
  readonly client: Client | undefined
}

/** A connection that takes the session after the commit. */
interface PendingConnection {
  sessionTakenOver(): void
}

export type SessionState = 'disconnected' | 'opening' | 'connected' | 'released' | 'ended'

/**
 *   disconnected ──CONNECT──▶ opening ──committed──▶ connected ──connection ends──▶ disconnected
 *        ▲                       │ rejected, or taken over meanwhile                     │ expires, or Clean Start
 *        └───────────────────────┘                                              ended ◀──┘
 * A peer that acquires the session makes it `released`, from any state but `ended`.
 */
const moves: Readonly<Record<SessionState, readonly SessionState[]>> = {
  disconnected: ['opening', 'connected', 'released', 'ended'],
  opening: ['opening', 'connected', 'disconnected', 'released', 'ended'],
  connected: ['disconnected', 'released', 'ended'],
  released: [],
  ended: [],
}

/** The Session State (section 4.1): subscriptions, messages in both directions, the Will. It outlives a connection. */
export class Session {
  readonly clientId: string
  /** The user of the session: user name, certificate subject, or a name from the application; undefined if none. */
  readonly principal: string | undefined
  readonly storage: SessionStorage
  readonly subscriptions: Map<string, Subscription> = new Map()
  readonly outbound: Outbound
  /** The storage has the session, or only its Will. */
  isRecorded: boolean
  /** Approximate bytes of the Topic Filters of its subscriptions. */
  subscriptionBytes = 0
  /** Start of its last connection in milliseconds since 1970; of two brokers the one with the later start owns it. */
  connectedAt = 0
  /** Each matching subscription has a copy of its own; see the option. */
  copyPerSubscription = false
  /** Session Expiry Interval in seconds. */
  expiryInterval = 0
  expiry: Timer | undefined
  will: StoredWill | undefined
  willDelay: Timer | undefined
  readonly #totals: QueueTotals
  #incoming: IncomingQos2 | undefined
  #state: SessionState = 'disconnected'
  #pendingConnection: PendingConnection | undefined

  constructor(
    environment: SessionEnvironment,
    clientId: string,
    principal: string | undefined,
    storage: SessionStorage,
  ) {
    this.clientId = clientId
    this.principal = principal
    this.storage = storage
    this.isRecorded = storage.isDurable
    this.#totals = environment.queueTotals
    this.outbound = new Outbound(environment, clientId, storage, this.subscriptions)
  }

  /** The received QoS 2 messages. Made at the first access, because most Clients publish nothing at QoS 2. */
  get incoming(): IncomingQos2 {
    this.#incoming ??= new IncomingQos2(this.#totals)
    return this.#incoming
  }

  get state(): SessionState {
    return this.#state
  }

  get connected(): boolean {
    return this.#state === 'connected'
  }

  /** The session accepts no message any more. */
  get ended(): boolean {
    return this.#state === 'ended' || this.#state === 'released'
  }

  /** A peer owns the session; its Client sends unacknowledged messages again to that broker. */
  get released(): boolean {
    return this.#state === 'released'
  }

  get connection(): SessionConnection | undefined {
    return this.outbound.connection
  }

  get client(): Client | undefined {
    return this.outbound.client
  }

  /** The connection that takes the session after the commit. */
  get pendingConnection(): PendingConnection | undefined {
    return this.#pendingConnection
  }

  set pendingConnection(connection: PendingConnection | undefined) {
    this.#pendingConnection = connection
    if (connection !== undefined) this.#move('opening')
    else if (this.#state === 'opening') this.#move('disconnected')
  }

  /** The Client is connected. `outbound.sendPending` then sends its inflight messages again. */
  attach(connection: SessionConnection, client: Client): void {
    this.#pendingConnection = undefined
    this.#move('connected')
    this.outbound.attach(connection, client)
  }

  /** The connection is closed or replaced by another one. */
  detach(connection: SessionConnection): void {
    if (this.outbound.connection !== connection) return
    this.#move('disconnected')
    this.outbound.detach()
  }

  /** Ends the session. Returns the messages that another member of a shared subscription should receive. */
  end(): Delivery[] {
    if (!this.ended) this.#move('ended')
    this.#pendingConnection = undefined
    this.#incoming?.clear()
    return this.outbound.end()
  }

  /** Another broker has the session. Nothing more of it is stored here. */
  release(): void {
    this.#move('released')
    this.end()
  }

  #move(to: SessionState): void {
    if (!moves[this.#state].includes(to)) throw new Error(`session: no way from ${this.#state} to ${to}`)
    this.#state = to
  }
}
