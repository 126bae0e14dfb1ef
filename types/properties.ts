/**
 * The 27 Properties of MQTT 5.0 (section 2.2.2.2), with the names of the standard.
 * The types at the end of this file list the Properties of each packet.
 */

/** A User Property: a name and a value. A name may occur more than once. */
export type UserProperty = readonly [name: string, value: string]

/** User Properties in the order in which they were sent, with duplicates. */
export type UserProperties = readonly UserProperty[]

/** All Properties of MQTT 5.0 with the types of their values. */
export interface Properties {
  /** 1 if the payload is UTF-8, 0 if it is unspecified bytes. */
  payloadFormatIndicator?: 0 | 1
  /** Lifetime of the message in seconds, 0 to 4,294,967,295. */
  messageExpiryInterval?: number
  /** Description of the payload, for example a MIME type. */
  contentType?: string
  /** Topic Name for the response to this message. */
  responseTopic?: string
  /** Bytes by which the requester recognises the response. */
  correlationData?: Uint8Array
  /** Identifier of the subscriptions of a SUBSCRIBE packet, 1 to 268,435,455. */
  subscriptionIdentifier?: number
  /** Identifiers of all subscriptions that a delivered PUBLISH matches. */
  subscriptionIdentifiers?: readonly number[]
  /** Seconds for which a session outlives its connection; 0xFFFFFFFF means that it does not expire. */
  sessionExpiryInterval?: number
  /** The Client Identifier that the Server assigned to a Client that sent none. */
  assignedClientIdentifier?: string
  /** Keep Alive in seconds that replaces the one of the Client, 0 to 65,535. */
  serverKeepAlive?: number
  /** Name of the method of enhanced authentication. */
  authenticationMethod?: string
  /** Data of the authentication method. */
  authenticationData?: Uint8Array
  /** 1 if any packet may carry Reason Strings and User Properties. */
  requestProblemInformation?: 0 | 1
  /** Seconds between the end of a connection and the publication of its Will, 0 to 4,294,967,295. */
  willDelayInterval?: number
  /** 1 if the Client requests Response Information in the CONNACK. */
  requestResponseInformation?: 0 | 1
  /** The basis for creating Response Topics. */
  responseInformation?: string
  /** Another Server for the Client to use (section 4.11). */
  serverReference?: string
  /** Explanation of a Reason Code, for diagnosis. */
  reasonString?: string
  /** QoS 1 and QoS 2 messages that the sender of this Property processes concurrently, 1 to 65,535. */
  receiveMaximum?: number
  /** The highest Topic Alias that the sender of this Property accepts, 0 to 65,535. */
  topicAliasMaximum?: number
  /** A number that replaces a Topic Name, 1 to 65,535. */
  topicAlias?: number
  /** The highest QoS that the Server supports, if it is not 2. */
  maximumQoS?: 0 | 1
  /** 0 if the Server does not support retained messages. */
  retainAvailable?: 0 | 1
  /** Name and value pairs for the application. */
  userProperties?: UserProperties
  /** Maximum size in bytes of a packet that the sender of this Property accepts, 1 to 4,294,967,295. */
  maximumPacketSize?: number
  /** 0 if the Server does not support wildcard subscriptions. */
  wildcardSubscriptionAvailable?: 0 | 1
  /** 0 if the Server does not support Subscription Identifiers. */
  subscriptionIdentifiersAvailable?: 0 | 1
  /** 0 if the Server does not support shared subscriptions. */
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

/** Properties that the Server forwards from the publisher to the subscribers, section 3.3.2.3. */
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
