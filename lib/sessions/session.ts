import type { Client } from '../../types/client.ts'
import type { Message as PublicMessage } from '../../types/message.ts'
import type { Subscription } from '../messages/subscriber.ts'
import type { Timer } from '../timers.ts'
import type { Delivery } from './delivery.ts'
import { IncomingQos2 } from './incoming-qos2.ts'
import { Outbound } from './outbound.ts'
import type { SessionConnection } from './session-connection.ts'
import type { SessionEnvironment } from './session-environment.ts'
import type { SessionStorage } from './session-storage.ts'

/** A Will that waits for the end of its connection, of its delay or of its session. */
export interface StoredWill {
  /** As the Client sent it. */
  readonly message: PublicMessage
  /** As the application permitted it when the Client connected. */
  readonly permitted: PublicMessage
  /** Seconds. */
  readonly delay: number
  /** Undefined when the Will is from before this process began. */
  readonly client: Client | undefined
}

/** A connection that gets the session once the storage has it. */
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

/** What outlives a connection (section 4.1): subscriptions, messages on their way in both directions, the Will. */
export class Session {
  readonly clientId: string
  /** Whose it is: a user name, the subject of a certificate, or what the application says; undefined for nobody's. */
  readonly principal: string | undefined
  readonly storage: SessionStorage
  readonly subscriptions: Map<string, Subscription> = new Map()
  readonly incoming: IncomingQos2 = new IncomingQos2()
  readonly outbound: Outbound
  /** The storage knows of it: all that it has, or only its Will. */
  isRecorded: boolean
  /** Bytes of the filters of its subscriptions, roughly. */
  subscriptionBytes = 0
  /** When its last connection began, in milliseconds since 1970: the later one of two brokers has it. */
  connectedAt = 0
  /** Seconds it outlives its connection. */
  expiryInterval = 0
  expiry: Timer | undefined
  will: StoredWill | undefined
  willDelay: Timer | undefined
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
    this.outbound = new Outbound(environment, clientId, storage, this.subscriptions)
  }

  get state(): SessionState {
    return this.#state
  }

  get connected(): boolean {
    return this.#state === 'connected'
  }

  /** Nothing can come to it or stay with it any more. */
  get ended(): boolean {
    return this.#state === 'ended' || this.#state === 'released'
  }

  /** It goes on at another broker, where its Client sends again what was not acknowledged here. */
  get released(): boolean {
    return this.#state === 'released'
  }

  get connection(): SessionConnection | undefined {
    return this.outbound.connection
  }

  get client(): Client | undefined {
    return this.outbound.client
  }

  /** The connection that will have it once the storage has it. */
  get pendingConnection(): PendingConnection | undefined {
    return this.#pendingConnection
  }

  set pendingConnection(connection: PendingConnection | undefined) {
    this.#pendingConnection = connection
    if (connection !== undefined) this.#move('opening')
    else if (this.#state === 'opening') this.#move('disconnected')
  }

  /** The Client is connected. Its messages in flight are sent again once `outbound.sendPending` is called. */
  attach(connection: SessionConnection, client: Client): void {
    this.#pendingConnection = undefined
    this.#move('connected')
    this.outbound.attach(connection, client)
  }

  /** The connection is closed, or another one takes its place. */
  detach(connection: SessionConnection): void {
    if (this.outbound.connection !== connection) return
    this.#move('disconnected')
    this.outbound.detach()
  }

  /** Ends the session. Returns the messages that another member of a shared subscription should get. */
  end(): Delivery[] {
    if (!this.ended) this.#move('ended')
    this.#pendingConnection = undefined
    this.incoming.clear()
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
