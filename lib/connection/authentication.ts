import type { AuthenticationExchange } from '../../types/client.ts'
import type { AuthPacket } from '../../types/packets.ts'
import { MqttError, ProtocolError } from '../errors.ts'
import { ReasonCode } from '../packets/reason-codes.ts'
import type { Timer, Timers } from '../timers.ts'

/** The connection of a Client that authenticates. */
export interface AuthenticationConnection {
  readonly isOpen: boolean
  readonly input: { process(): void }
  /** False when the packet is larger than the Client accepts. */
  send(packet: AuthPacket): boolean
}

export interface AuthenticationOptions {
  readonly timers: Timers
  /** Milliseconds for the Client to go on. */
  readonly timeoutMs: number
  readonly method: string | undefined
  readonly data: Uint8Array | undefined
}

function asBuffer(data: Uint8Array | undefined): Buffer | undefined {
  return data === undefined ? undefined : Buffer.from(data.buffer, data.byteOffset, data.byteLength)
}

/**
 * One enhanced authentication (section 4.12), from CONNECT or AUTH to CONNACK or AUTH.
 *
 *   hook ──exchange()──▶ AUTH 0x18 ──▶ Client ──AUTH 0x18──▶ exchange() resolves
 */
export class Authentication implements AuthenticationExchange {
  readonly method: string | undefined
  data: Buffer | undefined
  /** What goes with the last packet. */
  conclusion: Uint8Array | undefined
  readonly #connection: AuthenticationConnection
  readonly #timers: Timers
  readonly #timeoutMs: number
  #answer: { resolve(data: Buffer | undefined): void; reject(error: Error): void; timer: Timer } | undefined

  constructor(connection: AuthenticationConnection, options: AuthenticationOptions) {
    this.#connection = connection
    this.#timers = options.timers
    this.#timeoutMs = options.timeoutMs
    this.method = options.method
    this.data = asBuffer(options.data)
  }

  /** Whether the next AUTH of the Client is for this. */
  get isWaiting(): boolean {
    return this.#answer !== undefined
  }

  exchange(data?: Uint8Array): Promise<Buffer | undefined> {
    if (this.method === undefined) {
      return Promise.reject(new Error('the Client did not ask for enhanced authentication')) // [MQTT-4.12.0-6]
    }
    if (!this.#connection.isOpen) return Promise.reject(new MqttError('not-authorized', 'the connection ended'))
    if (this.#answer !== undefined) return Promise.reject(new Error('an exchange is under way already'))
    const isSent = this.#connection.send({
      type: 'auth',
      reasonCode: ReasonCode.continueAuthentication, // [MQTT-4.12.0-2]
      properties: { authenticationMethod: this.method, ...(data !== undefined && { authenticationData: data }) },
    })
    if (!isSent) return Promise.reject(new MqttError('packet-too-large', 'AUTH is larger than the Client accepts'))
    return new Promise((resolve, reject) => {
      const timer = this.#timers.after(this.#timeoutMs, () =>
        this.abandon('the Client does not go on with its authentication'),
      )
      this.#answer = { resolve, reject, timer }
      // Its answer may be here already; but this hook is in the middle of something.
      queueMicrotask(() => this.#connection.input.process())
    })
  }

  conclude(data: Uint8Array): void {
    this.conclusion = data
  }

  /** The Client's next step [MQTT-4.12.0-3]. */
  continue(packet: AuthPacket): void {
    const answer = this.#answer
    if (answer === undefined || packet.reasonCode !== ReasonCode.continueAuthentication) {
      throw new ProtocolError(ReasonCode.protocolError, 'AUTH where none is expected')
    }
    if (packet.properties?.authenticationMethod !== this.method) {
      throw new ProtocolError(ReasonCode.protocolError, 'AUTH with another Authentication Method') // [MQTT-4.12.0-5]
    }
    this.#answer = undefined
    this.#timers.cancel(answer.timer)
    this.data = asBuffer(packet.properties?.authenticationData)
    answer.resolve(this.data)
  }

  /** The connection ended, or the Client takes too long. It is not the hook's fault, so it is an `MqttError`. */
  abandon(why = 'the connection ended'): void {
    const answer = this.#answer
    if (answer === undefined) return
    this.#answer = undefined
    this.#timers.cancel(answer.timer)
    answer.reject(new MqttError('not-authorized', why))
  }
}
