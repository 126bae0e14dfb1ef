/** The 15 MQTT Control Packets as plain objects, distinguished by `type` (section 2.1.2). */
import type {
  AcknowledgementProperties,
  AuthProperties,
  ConnackProperties,
  ConnectProperties,
  DisconnectProperties,
  PublishProperties,
  SubscribeProperties,
  UnsubscribeProperties,
  WillProperties,
} from './properties.ts'

/** Quality of Service: at most once, at least once, exactly once (section 4.3). */
export type QoS = 0 | 1 | 2

/** The Protocol Level byte of CONNECT: 3 is MQTT 3.1, 4 is MQTT 3.1.1, 5 is MQTT 5.0. */
export type ProtocolLevel = 3 | 4 | 5

/** The Will Message, published if the connection ends without a DISCONNECT packet (section 3.1.2.5). */
export interface Will {
  readonly topic: string
  readonly payload: Buffer
  readonly qos: QoS
  readonly retain: boolean
  readonly properties: WillProperties | undefined
}

export interface ConnectPacket {
  readonly type: 'connect'
  readonly protocolLevel: ProtocolLevel
  /** The highest bit of the Protocol Level is set: the Client is a bridge of mosquitto. Only in MQTT 3. */
  readonly bridgeMode?: true
  /** Clean Start of MQTT 5.0, Clean Session of MQTT 3. */
  readonly cleanStart: boolean
  /** Keep Alive in seconds, 0 to 65,535; 0 turns it off (section 3.1.2.10). */
  readonly keepAlive: number
  readonly clientId: string
  readonly will: Will | undefined
  readonly username: string | undefined
  readonly password: Buffer | undefined
  readonly properties: ConnectProperties | undefined
}

export interface ConnackPacket {
  readonly type: 'connack'
  readonly sessionPresent: boolean
  /** A Reason Code of MQTT 5.0, or a Connect Return code (0 to 5) of MQTT 3. */
  readonly reasonCode: number
  readonly properties: ConnackProperties | undefined
}

export interface PublishPacket {
  readonly type: 'publish'
  /** Topic Name; empty if a Topic Alias replaces it. */
  readonly topic: string
  readonly payload: Buffer
  readonly qos: QoS
  readonly retain: boolean
  readonly dup: boolean
  /** Packet Identifier, 1 to 65,535; 0 at QoS 0, which has none. */
  readonly packetId: number
  readonly properties: PublishProperties | undefined
}

interface Acknowledgement<Type extends string> {
  readonly type: Type
  readonly packetId: number
  readonly reasonCode: number
  readonly properties: AcknowledgementProperties | undefined
}
export type PubackPacket = Acknowledgement<'puback'>
export type PubrecPacket = Acknowledgement<'pubrec'>
export type PubrelPacket = Acknowledgement<'pubrel'>
export type PubcompPacket = Acknowledgement<'pubcomp'>

/** A Topic Filter of a SUBSCRIBE packet with its Subscription Options (section 3.8.3.1). */
export interface SubscriptionRequest {
  readonly topicFilter: string
  /** Maximum QoS. */
  readonly qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  /** Retain Handling: 0 sends retained messages, 1 only if the subscription is new, 2 never. */
  readonly retainHandling: 0 | 1 | 2
}

export interface SubscribePacket {
  readonly type: 'subscribe'
  readonly packetId: number
  readonly subscriptions: readonly SubscriptionRequest[]
  readonly properties: SubscribeProperties | undefined
}

export interface SubackPacket {
  readonly type: 'suback'
  readonly packetId: number
  readonly reasonCodes: readonly number[]
  readonly properties: AcknowledgementProperties | undefined
}

export interface UnsubscribePacket {
  readonly type: 'unsubscribe'
  readonly packetId: number
  readonly topicFilters: readonly string[]
  readonly properties: UnsubscribeProperties | undefined
}

export interface UnsubackPacket {
  readonly type: 'unsuback'
  readonly packetId: number
  /** Not encoded in MQTT 3. */
  readonly reasonCodes: readonly number[]
  readonly properties: AcknowledgementProperties | undefined
}

export interface PingreqPacket {
  readonly type: 'pingreq'
}

export interface PingrespPacket {
  readonly type: 'pingresp'
}

export interface DisconnectPacket {
  readonly type: 'disconnect'
  /** 0 in MQTT 3, which has no byte for it. */
  readonly reasonCode: number
  readonly properties: DisconnectProperties | undefined
}

export interface AuthPacket {
  readonly type: 'auth'
  readonly reasonCode: number
  readonly properties: AuthProperties | undefined
}

/** Any MQTT Control Packet. */
export type Packet =
  | ConnectPacket
  | ConnackPacket
  | PublishPacket
  | PubackPacket
  | PubrecPacket
  | PubrelPacket
  | PubcompPacket
  | SubscribePacket
  | SubackPacket
  | UnsubscribePacket
  | UnsubackPacket
  | PingreqPacket
  | PingrespPacket
  | DisconnectPacket
  | AuthPacket

/** The name of a packet type, as in `packet.type`. */
export type PacketType = Packet['type']
