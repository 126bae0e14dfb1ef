import { reasonCodeOf } from './packets/reason-codes.ts'
import type { ReasonName } from '../types/reason-codes.ts'
import type { UserProperties } from '../types/properties.ts'

/**
 * The Client broke the protocol: its connection ends with this Reason Code.
 * Never thrown at the application; it arrives with the `clientError` event.
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

/** An option is wrong. Thrown before anything starts; the message has the expected and the given value. */
export class InvalidOptionError extends TypeError {
  override readonly name = 'InvalidOptionError'
  readonly code = 'ERR_MQTT_INVALID_OPTION'
}

/** The parts of an {@link MqttError} that the Client gets beside its Reason Code. */
export interface MqttErrorOptions extends ErrorOptions {
  /** User Properties sent with the refusal (MQTT 5.0). */
  readonly userProperties?: UserProperties
  /** Where the Client should go, with `use-another-server` and `server-moved` (section 4.11). */
  readonly serverReference?: string
}

/**
 * Thrown by a hook to refuse with a Reason Code: `throw new MqttError('quota-exceeded', 'come back tomorrow')`.
 * The message becomes the Reason String that an MQTT 5.0 Client sees (section 4.8).
 */
export class MqttError extends Error {
  override readonly name = 'MqttError'
  /** `ERR_MQTT_` and the reason in capitals, for example `ERR_MQTT_NOT_AUTHORIZED`. */
  readonly code: `ERR_MQTT_${string}`
  /** The Reason Code of MQTT 5.0, 0 to 255. */
  readonly reasonCode: number
  readonly userProperties: UserProperties | undefined
  readonly serverReference: string | undefined

  constructor(reason: ReasonName | number, message = '', options?: MqttErrorOptions) {
    super(message, options)
    this.reasonCode = typeof reason === 'number' ? reason : reasonCodeOf(reason)
    this.code = `ERR_MQTT_${typeof reason === 'number' ? reason.toString(16).toUpperCase() : reason.toUpperCase().replaceAll('-', '_')}`
    this.userProperties = options?.userProperties
    this.serverReference = options?.serverReference
  }
}
