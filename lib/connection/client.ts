import type { SessionOperations } from '../administration/client-session.ts'
import { checkDisconnect } from '../options.ts'
import { reasonCodeOf } from '../packets/reason-codes.ts'
import type { Client as PublicClient, ConnectRequest, DisconnectOptions } from '../../types/client.ts'
import type { ConnectionInfo } from '../../types/connection-info.ts'
import type { MessageInit } from '../../types/message.ts'
import type { ReasonName } from '../../types/reason-codes.ts'
import type { ClientSubscribeOptions } from '../../types/session.ts'
import type { Subscription } from '../../types/subscription.ts'
import { refuseMembersOfAedesClient } from '../usage/aedes-members.ts'
import { refuseCallback } from '../usage/callbacks.ts'
import { inspectAsJson } from '../secrets.ts'

/** The connection of a Client. */
interface ConnectionHandle {
  readonly isOpen: boolean
  readonly isConnected: boolean
  end(reasonCode: number, options?: DisconnectOptions): Promise<void>
}

const CLOSED: ConnectionHandle = { isOpen: false, isConnected: false, end: () => Promise.resolve() }

/** A Client as the application sees it. */
export class Client implements PublicClient {
  readonly id: string
  readonly connection: ConnectionInfo
  readonly connect: ConnectRequest
  session: unknown
  subscriptions: ReadonlyMap<string, Subscription> = new Map()
  /** The time limit of a hook that is asked about this Client; see `hooks`. */
  hookTime: 'each' | 'together' | 'over' = 'each'
  #handle: ConnectionHandle
  readonly #operations: SessionOperations
  #abort: AbortController | undefined
  #backPressure: object | undefined

  static {
    refuseMembersOfAedesClient(Client.prototype)
    inspectAsJson(Client)
  }

  constructor(
    id: string,
    connection: ConnectionInfo,
    connect: ConnectRequest,
    session: unknown,
    handle: ConnectionHandle,
    operations: SessionOperations,
  ) {
    this.id = id
    this.connection = connection
    this.connect = connect
    this.session = session
    this.#handle = handle
    this.#operations = operations
  }

  get connected(): boolean {
    return this.#handle.isConnected
  }

  // Created at the first access, because most Clients need none.
  get signal(): AbortSignal {
    this.#abort ??= new AbortController()
    if (!this.#handle.isOpen) this.#abort.abort()
    return this.#abort.signal
  }

  /** The back-pressure of its session, once it has one. */
  get backPressure(): object | undefined {
    return this.#backPressure
  }

  connectedTo(backPressure: object): void {
    this.#backPressure = backPressure
  }

  connectionClosed(): void {
    this.#handle = CLOSED // A session may refer to this Client for long, so the connection must be released.
    this.#abort?.abort()
  }

  subscribe(filter: string | readonly string[], options?: ClientSubscribeOptions): Promise<void> {
    refuseCallback('client.subscribe(filter, options)', arguments)
    return this.#operations.subscribe(this.id, filter, options)
  }

  unsubscribe(filter: string | readonly string[]): Promise<number> {
    refuseCallback('client.unsubscribe(filter)', arguments)
    return this.#operations.unsubscribe(this.id, filter)
  }

  publish(message: MessageInit): Promise<void> {
    refuseCallback('client.publish(message)', arguments)
    return this.#operations.publish(this.id, message)
  }

  /** Without `session`, because the application may have secrets in it. */
  toJSON(): object {
    const { id, connected, connection, connect } = this
    return { id, connected, connection, connect }
  }

  disconnect(reason: ReasonName | number = 'administrative-action', options?: DisconnectOptions): Promise<void> {
    refuseCallback('client.disconnect(reason, options)', arguments)
    checkDisconnect(reason, options)
    return this.#handle.end(typeof reason === 'number' ? reason : reasonCodeOf(reason), options)
  }
}
