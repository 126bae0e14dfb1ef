import type { QoS } from './packets.ts'
import type { MessageProperties } from './properties.ts'

/** An Application Message: what people publish and receive (section 3.3). */
export interface Message {
  /** Topic Name: at least one character, no wildcards. */
  readonly topic: string
  /** Not to be changed: all receivers share these bytes. */
  readonly payload: Buffer
  readonly qos: QoS
  /** True when the message is to be kept, or was kept, for later subscribers. */
  readonly retain: boolean
  /** Properties of MQTT 5.0 that travel with the message; publishers that speak MQTT 3 send none. */
  readonly properties?: MessageProperties | undefined
}

/** What `broker.publish` takes. */
export interface MessageInit {
  /** Topic Name: at least one character, no wildcards, at most 65,535 bytes of UTF-8. */
  readonly topic: string
  /** Text is sent as UTF-8 and any other object as JSON. Bytes are not to be changed afterwards. Default: no bytes. */
  readonly payload?: Uint8Array | string | object
  /** Default: 0. */
  readonly qos?: QoS
  /** Default: false. */
  readonly retain?: boolean
  readonly properties?: MessageProperties | undefined
}
