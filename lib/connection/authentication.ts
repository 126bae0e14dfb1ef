import type { AuthenticationExchange } from '../../types/client.ts'
import type { AuthPacket } from '../../types/packets.ts'
import { MqttError, ProtocolError } from '../errors.ts'
import { authenticationDataOf } from '../hook-answers.ts'
import type { BrokerContext } from '../handlers/broker-context.ts'
import { ReasonCode } from '../packets/reason-codes.ts'
import type { Timer } from '../timers.ts'
import { hidden, inspectAsJson } from '../secrets.ts'

/** The connection of a Client that authenticates. */
interface AuthenticationConnection {
  readonly broker: Pick<BrokerContext, 'timers' | 'settings'>
  readonly authenticationMethod: string | undefined
  readonly isOpen: boolean
  readonly input: { process(): void }
  /** Returns false if the packet is larger than the Client accepts. */
  send(packet: AuthPacket): boolean
}

function asBuffer(data: Uint8Array | undefined): Buffer | undefined {
  return data === undefined ? undefined : hidden(Buffer.from(data.buffer, data.byteOffset, data.byteLength))
}

/**
 * One enhanced authentication (section 4.12), from CONNECT or AUTH to CONNACK or AUTH.
 *
 *   hook ──exchange()──▶ AUTH 0x18 ──▶ Client ──AUTH 0x18──▶ exchange() resolves
 */
export class Authentication implements AuthenticationExchange {
  readonly method: string | undefined
  data: Buffer | undefined
  /** Authentication Data of the last packet. */
  conclusion: Uint8Array | undefined
  readonly #connection: AuthenticationConnection
  #pending: { resolve(data: Buffer | undefined): void; reject(error: Error): void; timer: Timer } | undefined

  static {
    inspectAsJson(Authentication)
  }

  constructor(connection: AuthenticationConnection, data: Uint8Array | undefined) {
    this.#connection = connection
    this.method = connection.authenticationMethod
    this.data = asBuffer(data)
  }

  /** Whether an AUTH of the Client is expected. */
  get isWaiting(): boolean {
    return this.#pending !== undefined
  }

  async exchange(data?: ArrayBufferView | ArrayBufferLike): Promise<Buffer | undefined> {
    const authenticationData = data === undefined ? undefined : authenticationDataOf(data)
    if (this.method === undefined) {
      return Promise.reject(new Error('the Client did not ask for enhanced authentication')) // [MQTT-4.12.0-6]
    }
    if (!this.#connection.isOpen) return Promise.reject(new MqttError('not-authorized', 'the connection ended'))
    if (this.#pending !== undefined) return Promise.reject(new Error('an exchange is under way already'))
    const isSent = this.#connection.send({
      type: 'auth',
      reasonCode: ReasonCode.continueAuthentication, // [MQTT-4.12.0-2]
      properties: { authenticationMethod: this.method, ...(authenticationData && { authenticationData }) },
    })
    if (!isSent) return Promise.reject(new MqttError('packet-too-large', 'AUTH is larger than the Client accepts'))
    return new Promise((resolve, reject) => {
      const { timers, settings } = this.#connection.broker
      const timer = timers.after(settings.limits.hookTimeoutMs, () =>
        this.abandon('the Client does not go on with its authentication'),
      )
      this.#pending = { resolve, reject, timer }
      // The AUTH of the Client may have arrived already; it is handled when the hook has returned.
      queueMicrotask(() => this.#connection.input.process())
    })
  }

  conclude(data: ArrayBufferView | ArrayBufferLike): void {
    this.conclusion = authenticationDataOf(data)
  }

  /** Shows no Authentication Data in logs. */
  toJSON(): object {
    return { method: this.method }
  }

  /** An AUTH arrived [MQTT-4.12.0-3]. */
  continue(packet: AuthPacket): void {
    const pending = this.#pending
    if (pending === undefined || packet.reasonCode !== ReasonCode.continueAuthentication) {
      throw new ProtocolError(ReasonCode.protocolError, 'AUTH where none is expected')
    }
    if (packet.properties?.authenticationMethod !== this.method) {
      throw new ProtocolError(ReasonCode.protocolError, 'AUTH with another Authentication Method') // [MQTT-4.12.0-5]
    }
    this.#pending = undefined
    this.#connection.broker.timers.cancel(pending.timer)
    this.data = asBuffer(packet.properties?.authenticationData)
    pending.resolve(this.data)
  }

  /** The connection ended, or the Client takes too long. An `MqttError`, because it is no fault of the hook. */
  abandon(why = 'the connection ended'): void {
    const pending = this.#pending
    if (pending === undefined) return
    this.#pending = undefined
    this.#connection.broker.timers.cancel(pending.timer)
    pending.reject(new MqttError('not-authorized', why))
  }
}
