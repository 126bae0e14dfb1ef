/**
 * The 27 Properties of MQTT 5.0 (section 2.2.2.2), under the standard's names.
 * Which packet may carry which one is said by the types at the end of this file.
 */

/** A User Property: a name and a value. A name may come more than once and the order is kept. */
export type UserProperty = readonly [name: string, value: string]

/** User Properties in the order in which they were sent, duplicates included. */
export type UserProperties = readonly UserProperty[]

/** Every Property that MQTT 5.0 knows, each with the type of its value. */
export interface Properties {
  /** 1 when the payload is UTF-8 text, 0 when it is unspecified bytes. */
  payloadFormatIndicator?: 0 | 1
  /** Seconds a message may wait before it is worthless, 0 to 4,294,967,295. */
  messageExpiryInterval?: number
  /** What the payload is, for example a MIME type. */
  contentType?: string
  /** The Topic Name that an answer to this message goes to. */
  responseTopic?: string
  /** Bytes by which a requester recognises the answer. */
  correlationData?: Uint8Array
  /** The identifier that a Client gives to a subscription, 1 to 268,435,455. SUBSCRIBE only. */
  subscriptionIdentifier?: number
  /** The identifiers of all subscriptions that a delivered PUBLISH matches. */
  subscriptionIdentifiers?: readonly number[]
  /** Seconds a session outlives its connection; 0xFFFFFFFF is for ever. */
  sessionExpiryInterval?: number
  /** The Client Identifier that the Server gave to a Client that sent none. */
  assignedClientIdentifier?: string
  /** Seconds of keep-alive that the Server uses instead of the Client's. */
  serverKeepAlive?: number
  /** The name of the method of enhanced authentication. */
  authenticationMethod?: string
  /** What the authentication method exchanges. */
  authenticationData?: Uint8Array
  /** 1 when reason strings and User Properties may come on any packet. */
  requestProblemInformation?: 0 | 1
  /** Seconds between the end of a connection and the publication of its Will. */
  willDelayInterval?: number
  /** 1 when the Client wants Response Information in the CONNACK. */
  requestResponseInformation?: 0 | 1
  /** The basis for creating Response Topics. */
  responseInformation?: string
  /** Another Server that the Client is to use. */
  serverReference?: string
  /** A text for a human that explains a Reason Code. */
  reasonString?: string
  /** How many QoS 1 and QoS 2 messages the sender of this is willing to process at once, 1 to 65,535. */
  receiveMaximum?: number
  /** The highest Topic Alias that the sender of this accepts. */
  topicAliasMaximum?: number
  /** A number that stands for a Topic Name, 1 to 65,535. */
  topicAlias?: number
  /** The highest QoS that the Server supports, when that is not 2. */
  maximumQoS?: 0 | 1
  /** 0 when the Server does not keep retained messages. */
  retainAvailable?: 0 | 1
  /** Name and value pairs for the application, in order, duplicates included. */
  userProperties?: UserProperties
  /** The largest packet in bytes that the sender of this accepts. */
  maximumPacketSize?: number
  /** 0 when the Server does not support wildcard subscriptions. */
  wildcardSubscriptionAvailable?: 0 | 1
  /** 0 when the Server does not support Subscription Identifiers. */
  subscriptionIdentifiersAvailable?: 0 | 1
  /** 0 when the Server does not support shared subscriptions. */
  sharedSubscriptionAvailable?: 0 | 1
}

/** Properties of a CONNECT packet, section 3.1.2.11. */
export type ConnectProperties = Pick<
  Properties,
  | 'sessionExpiryInterval'
  | 'receiveMaximum'
  | 'maximumPacketSize'
  | 'topicAliasMaximum'
  | 'requestResponseInformation'
  | 'requestProblemInformation'
  | 'userProperties'
  | 'authenticationMethod'
  | 'authenticationData'
>

/** Properties of a Will, section 3.1.3.2. */
export type WillProperties = Pick<
  Properties,
  | 'willDelayInterval'
  | 'payloadFormatIndicator'
  | 'messageExpiryInterval'
  | 'contentType'
  | 'responseTopic'
  | 'correlationData'
  | 'userProperties'
>

/** Properties of a CONNACK packet, section 3.2.2.3. */
export type ConnackProperties = Pick<
  Properties,
  | 'sessionExpiryInterval'
  | 'receiveMaximum'
  | 'maximumQoS'
  | 'retainAvailable'
  | 'maximumPacketSize'
  | 'assignedClientIdentifier'
  | 'topicAliasMaximum'
  | 'reasonString'
  | 'userProperties'
  | 'wildcardSubscriptionAvailable'
  | 'subscriptionIdentifiersAvailable'
  | 'sharedSubscriptionAvailable'
  | 'serverKeepAlive'
  | 'responseInformation'
  | 'serverReference'
  | 'authenticationMethod'
  | 'authenticationData'
>

/** Properties that a message carries from its publisher to its receivers unchanged. */
export type MessageProperties = Pick<
  Properties,
  | 'payloadFormatIndicator'
  | 'messageExpiryInterval'
  | 'contentType'
  | 'responseTopic'
  | 'correlationData'
  | 'userProperties'
>

/** Properties of a PUBLISH packet, section 3.3.2.3. */
export type PublishProperties = MessageProperties & Pick<Properties, 'topicAlias' | 'subscriptionIdentifiers'>

/** Properties of PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK and UNSUBACK packets. */
export type AcknowledgementProperties = Pick<Properties, 'reasonString' | 'userProperties'>

/** Properties of a SUBSCRIBE packet, section 3.8.2.1. */
export type SubscribeProperties = Pick<Properties, 'subscriptionIdentifier' | 'userProperties'>

/** Properties of an UNSUBSCRIBE packet, section 3.10.2.1. */
export type UnsubscribeProperties = Pick<Properties, 'userProperties'>

/** Properties of a DISCONNECT packet, section 3.14.2.2. */
export type DisconnectProperties = Pick<
  Properties,
  'sessionExpiryInterval' | 'reasonString' | 'userProperties' | 'serverReference'
>

/** Properties of an AUTH packet, section 3.15.2.2. */
export type AuthProperties = Pick<
  Properties,
  'authenticationMethod' | 'authenticationData' | 'reasonString' | 'userProperties'
>
