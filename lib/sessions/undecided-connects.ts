import { MqttError } from '../errors.ts'

/** A CONNECT that the application has not decided on. */
export interface UndecidedConnect {
  readonly clientId: string
  readonly connection: { refuse(error: MqttError): void }
}

/** The undecided CONNECTs by Client Identifier, in order. When one is admitted, the earlier ones are refused. */
export class UndecidedConnects {
  readonly #byClientId = new Map<string, Set<UndecidedConnect>>()

  add(clientId: string, connection: UndecidedConnect['connection']): UndecidedConnect {
    const connect = { clientId, connection }
    const connects = this.#byClientId.get(clientId)
    if (connects === undefined) this.#byClientId.set(clientId, new Set([connect]))
    else connects.add(connect)
    return connect
  }

  /** The CONNECT is admitted or refused, or its connection has ended. */
  remove(connect: UndecidedConnect): void {
    const connects = this.#byClientId.get(connect.clientId)
    if (connects?.delete(connect) === true && connects.size === 0) this.#byClientId.delete(connect.clientId)
  }

  admit(connect: UndecidedConnect): void {
    for (const earlier of this.#byClientId.get(connect.clientId) ?? []) {
      if (earlier === connect) break
      this.remove(earlier)
      earlier.connection.refuse(new MqttError('unspecified', 'a later connection has the Client Identifier'))
    }
    this.remove(connect)
  }
}
