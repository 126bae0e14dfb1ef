import { reasonCodeOf } from '../packets/reason-codes.ts'
import type { Client as PublicClient, ConnectRequest, DisconnectOptions } from '../../types/client.ts'
import type { ConnectionInfo } from '../../types/connection-info.ts'
import type { ReasonName } from '../../types/reason-codes.ts'
import type { Subscription } from '../../types/subscription.ts'

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
  #abort: AbortController | undefined

  constructor(
    id: string,
    connection: ConnectionInfo,
    connect: ConnectRequest,
    session: unknown,
    handle: ConnectionHandle,
  ) {
    this.id = id
    this.connection = connection
    this.connect = connect
    this.session = session
    this.#handle = handle
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

  connectionClosed(): void {
    this.#handle = CLOSED // A session may refer to this Client for long, so the connection must be released.
    this.#abort?.abort()
  }

  disconnect(reason: ReasonName | number = 'administrative-action', options?: DisconnectOptions): Promise<void> {
    return this.#handle.end(typeof reason === 'number' ? reason : reasonCodeOf(reason), options)
  }
}
