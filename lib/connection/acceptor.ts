import type { Duplex } from 'node:stream'
import type { ConnectionInfo } from '../../types/connection-info.ts'
import { MqttError } from '../errors.ts'
import type { Notify } from '../events.ts'
import type { Hooks } from '../hooks.ts'
import type { Statistics } from '../statistics.ts'
import type { Connection } from './connection.ts'
import type { Connections } from './connections.ts'

/** The parts of the broker that new connections meet. */
export interface AcceptorContext {
  readonly connections: Connections
  readonly hooks: Pick<Hooks, 'canConnect' | 'connect'>
  readonly statistics: Pick<Statistics, 'connections' | 'connectionsRefused'>
  readonly lifecycle: { readonly isClosing: boolean; readonly ready: Promise<void> | undefined }
  readonly notify: Notify
  /** Makes the connection, which does not read yet. */
  newConnection(stream: Duplex, info: ConnectionInfo): Connection
}

/** Takes streams from the transports and from the application, and makes a Network Connection of each. */
export class Acceptor {
  readonly #broker: AcceptorContext

  constructor(broker: AcceptorContext) {
    this.#broker = broker
  }

  readonly accept = (stream: Duplex, info: ConnectionInfo): void => {
    const { connections, statistics, lifecycle } = this.#broker
    if (lifecycle.isClosing || !connections.hasRoomFor(info)) {
      this.#refuse(stream, info)
      return
    }
    ;(stream as Partial<{ setNoDelay(on: boolean): void }>).setNoDelay?.(true)
    // A Client may end its side and wait for the answers; the connection ends ours.
    if ('allowHalfOpen' in stream) stream.allowHalfOpen = true
    const connection = this.#broker.newConnection(stream, info)
    connections.add(connection)
    statistics.connections += 1
    connection.start(this.#permission(info, stream))
  }

  #refuse(stream: Duplex, info: ConnectionInfo): void {
    this.#broker.statistics.connectionsRefused += 1
    this.#broker.notify('connectionRefused', info, new MqttError('server-busy', 'too many connections'))
    stream.on('error', () => undefined) // Without a listener an error would end the program.
    stream.destroy()
  }

  /** Settles when the bytes of the connection may be looked at, or rejects; undefined when they may be now. */
  #permission(info: ConnectionInfo, stream: Duplex): Promise<void> | undefined {
    const { hooks, lifecycle } = this.#broker
    const { ready } = lifecycle
    if (!hooks.canConnect) return ready
    const gone = new AbortController()
    stream.once('close', () => gone.abort())
    return (ready ?? Promise.resolve()).then(() => hooks.connect(info, gone.signal))
  }
}
