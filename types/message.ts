import type { QoS } from './packets.ts'
import type { MessageProperties } from './properties.ts'

/** An Application Message (section 3.3). */
export interface Message {
  /** Topic Name: at least one character, no wildcards (section 4.7). */
  readonly topic: string
  /** The payload. Must not be changed, because all subscribers share the bytes. */
  readonly payload: Buffer
  /** Quality of Service of this publication or delivery (section 4.3). */
  readonly qos: QoS
  /** RETAIN flag: the message is to be retained or, in a delivery, was retained (section 3.3.1.3). */
  readonly retain: boolean
  /** Properties of the message; undefined if it has none, as in MQTT 3 (section 3.3.2.3). */
  readonly properties?: MessageProperties | undefined
}

/** A message for `broker.publish`, which rejects with an `InvalidOptionError` or `MqttError` if it is not valid. */
export interface MessageInit {
  /** Topic Name: at least one character, no wildcards, at most 65,535 bytes of UTF-8 (section 4.7). */
  readonly topic: string
  /** Bytes, which must not be changed later; a string is sent as UTF-8, any other object as JSON. Default: no bytes. */
  readonly payload?: Uint8Array | string | object
  /** Quality of Service (section 4.3). Default: 0. */
  readonly qos?: QoS
  /** RETAIN flag (section 3.3.1.3). Default: false. */
  readonly retain?: boolean
  readonly properties?: MessageProperties | undefined
}
