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
  /**
   * Bytes (Buffer, typed array, DataView, ArrayBuffer, SharedArrayBuffer), which must not be changed later; shared memory is
   * copied. A string is sent as UTF-8, any other value as JSON. An object that JSON would lose, such as a Map, and bytes
   * that were transferred to another thread are refused with an `InvalidOptionError`. Default: no bytes.
   */
  readonly payload?: Uint8Array | string | object
  /** Quality of Service (section 4.3). Default: 0. */
  readonly qos?: QoS
  /** RETAIN flag (section 3.3.1.3). Default: false. */
  readonly retain?: boolean
  readonly properties?: MessageProperties | undefined
}
