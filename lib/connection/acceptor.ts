import type { Duplex } from 'node:stream'
import type { ConnectionInfo } from '../../types/connection-info.ts'
import { MqttError } from '../errors.ts'
import type { BrokerContext } from '../handlers/broker-context.ts'
import type { Lifecycle } from '../lifecycle.ts'
import type { Connection } from './connection.ts'
import { hideSecretsOf } from '../secrets.ts'

interface AcceptorContext extends Pick<BrokerContext, 'connections' | 'hooks' | 'statistics' | 'notify'> {
  readonly lifecycle: Lifecycle
  /** Creates a connection that does not read yet. */
  newConnection(stream: Duplex, info: ConnectionInfo): Connection
}

/** Makes a Network Connection of each stream from the transports and from the application. */
export class Acceptor {
  readonly #broker: AcceptorContext

  constructor(broker: AcceptorContext) {
    this.#broker = broker
  }

  readonly accept = (stream: Duplex, info: ConnectionInfo): void => {
    const { connections, statistics, lifecycle } = this.#broker
    if (info.request !== undefined) hideSecretsOf(info.request)
    if (lifecycle.isClosing || !connections.hasRoomFor(info)) {
      const isClosing = lifecycle.isClosing
      this.#refuse(
        stream,
        info,
        isClosing
          ? new MqttError('server-shutting-down', 'the broker is closing')
          : new MqttError('server-busy', 'too many connections'),
      )
      return
    }
    ;(stream as Partial<{ setNoDelay(on: boolean): void }>).setNoDelay?.(true)
    // A Client may end its side of the stream and wait for replies.
    if ('allowHalfOpen' in stream) stream.allowHalfOpen = true
    const connection = this.#broker.newConnection(stream, info)
    connections.add(connection)
    statistics.connections += 1
    connection.start(this.#permission(info, stream))
  }

  #refuse(stream: Duplex, info: ConnectionInfo, error: MqttError): void {
    this.#broker.statistics.connectionsRefused += 1
    this.#broker.notify('connectionRefused', info, error, {})
    stream.on('error', () => undefined) // Without a listener an error would end the program.
    stream.destroy()
  }

  /** Resolves when packets may be handled, or rejects; undefined if they may be handled now. */
  #permission(info: ConnectionInfo, stream: Duplex): Promise<void> | undefined {
    const { hooks, lifecycle } = this.#broker
    const { ready } = lifecycle
    if (!hooks.canConnect) return ready
    const closed = new AbortController()
    stream.once('close', () => closed.abort())
    return (ready ?? Promise.resolve()).then(() => hooks.connect(info, closed.signal))
  }
}
