import { reasonCodeOf, reasonNameOf } from './packets/reason-codes.ts'
import type { ReasonName } from '../types/reason-codes.ts'
import type { UserProperties } from '../types/properties.ts'

/**
 * A violation of the protocol by a Client. The Server closes the connection with this Reason Code (section 4.13).
 * Never thrown to the application, but emitted with the `clientError` event.
 */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError'
  readonly code = 'ERR_MQTT_PROTOCOL'
  /** The Reason Code of MQTT 5.0 that ends the connection (section 2.4). */
  readonly reasonCode: number

  constructor(reasonCode: number, message: string) {
    super(message)
    this.reasonCode = reasonCode
  }
}

/** An option with an invalid value. Thrown before the broker starts; the message names the expected value. */
export class InvalidOptionError extends TypeError {
  override readonly name = 'InvalidOptionError'
  readonly code = 'ERR_MQTT_INVALID_OPTION'
}

/** Fields of an {@link MqttError} that are sent to the Client with the Reason Code. */
export interface MqttErrorOptions extends ErrorOptions {
  /** User Properties of the packet that refuses (MQTT 5.0). Default: none. */
  readonly userProperties?: UserProperties
  /** Another Server to use, with `use-another-server` and `server-moved` (section 4.11). Default: none. */
  readonly serverReference?: string
  /**
   * Reason String for the Client (MQTT 5.0), if it is not to see the message. '' for none; in a DISCONNECT a text for the
   * Reason Code. Default: the message.
   */
  readonly reasonString?: string
}

/**
 * Thrown by a hook to refuse with a Reason Code: `throw new MqttError('quota-exceeded', 'come back tomorrow')`.
 * The message becomes the Reason String for MQTT 5.0 Clients (section 4.13); without one, the error has the name of the
 * reason as its message and the Client receives no Reason String but, in a DISCONNECT, that of the Reason Code.
 */
export class MqttError extends Error {
  override readonly name = 'MqttError'
  /** `ERR_MQTT_` and the reason in capitals, for example `ERR_MQTT_NOT_AUTHORIZED`. */
  readonly code: `ERR_MQTT_${string}`
  /** The Reason Code of MQTT 5.0, 0 to 255. */
  readonly reasonCode: number
  readonly userProperties: UserProperties | undefined
  readonly serverReference: string | undefined
  /** Reason String for the Client; '' for none. */
  readonly reasonString: string

  constructor(reason: ReasonName | number, message = '', options?: MqttErrorOptions) {
    const reasonCode = typeof reason === 'number' ? reason : reasonCodeOf(reason)
    super(message === '' ? reasonNameOf(reasonCode) : message, options)
    this.reasonCode = reasonCode
    this.reasonString = options?.reasonString ?? message
    this.code = `ERR_MQTT_${typeof reason === 'number' ? reason.toString(16).toUpperCase() : reason.toUpperCase().replaceAll('-', '_')}`
    this.userProperties = options?.userProperties
    this.serverReference = options?.serverReference
  }
}
