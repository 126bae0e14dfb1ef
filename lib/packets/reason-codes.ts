import type { ReasonName } from '../../types/reason-codes.ts'

/** Every Reason Code of MQTT 5.0 (section 2.4) under a short name. */
export const ReasonCode = {
  success: 0x00,
  grantedQoS1: 0x01,
  grantedQoS2: 0x02,
  disconnectWithWill: 0x04,
  noMatchingSubscribers: 0x10,
  noSubscriptionExisted: 0x11,
  continueAuthentication: 0x18,
  reAuthenticate: 0x19,
  unspecified: 0x80,
  malformedPacket: 0x81,
  protocolError: 0x82,
  implementationSpecific: 0x83,
  unsupportedProtocolVersion: 0x84,
  clientIdentifierNotValid: 0x85,
  badCredentials: 0x86,
  notAuthorized: 0x87,
  serverUnavailable: 0x88,
  serverBusy: 0x89,
  banned: 0x8a,
  serverShuttingDown: 0x8b,
  badAuthenticationMethod: 0x8c,
  keepAliveTimeout: 0x8d,
  sessionTakenOver: 0x8e,
  topicFilterInvalid: 0x8f,
  topicNameInvalid: 0x90,
  packetIdentifierInUse: 0x91,
  packetIdentifierNotFound: 0x92,
  receiveMaximumExceeded: 0x93,
  topicAliasInvalid: 0x94,
  packetTooLarge: 0x95,
  messageRateTooHigh: 0x96,
  quotaExceeded: 0x97,
  administrativeAction: 0x98,
  payloadFormatInvalid: 0x99,
  retainNotSupported: 0x9a,
  qosNotSupported: 0x9b,
  useAnotherServer: 0x9c,
  serverMoved: 0x9d,
  sharedSubscriptionsNotSupported: 0x9e,
  connectionRateExceeded: 0x9f,
  maximumConnectTime: 0xa0,
  subscriptionIdentifiersNotSupported: 0xa1,
  wildcardSubscriptionsNotSupported: 0xa2,
} as const

const codes = new Map<string, number>(
  Object.entries(ReasonCode).map(([name, code]) => [
    name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`),
    code,
  ]),
)

/** The Reason Code of a name such as `not-authorized`. */
export function reasonCodeOf(name: ReasonName): number {
  const code = codes.get(name)
  if (code === undefined) throw new TypeError(`unknown reason: ${name}`)
  return code
}

/** The name of a Reason Code in words, for example `not authorized`. */
export function reasonNameOf(reasonCode: number): string {
  for (const [name, code] of codes) if (code === reasonCode) return name.replaceAll('-', ' ')
  return `Reason Code 0x${reasonCode.toString(16)}`
}

export function isReasonName(name: unknown): name is ReasonName {
  return typeof name === 'string' && codes.has(name)
}

// MQTT 3 has five refusals (section 3.2.2.3 of 3.1.1); a code that is missing here becomes "not authorized".
const returnCodes: Readonly<Record<number, number>> = {
  [ReasonCode.success]: 0,
  [ReasonCode.unsupportedProtocolVersion]: 1,
  [ReasonCode.clientIdentifierNotValid]: 2,
  [ReasonCode.unspecified]: 3,
  [ReasonCode.implementationSpecific]: 3,
  [ReasonCode.serverUnavailable]: 3,
  [ReasonCode.serverBusy]: 3,
  [ReasonCode.serverShuttingDown]: 3,
  [ReasonCode.quotaExceeded]: 3,
  [ReasonCode.useAnotherServer]: 3,
  [ReasonCode.serverMoved]: 3,
  [ReasonCode.connectionRateExceeded]: 3,
  [ReasonCode.badCredentials]: 4,
}

/** The Connect Return code of MQTT 3 that is nearest to a Reason Code. */
export function connectReturnCode(reasonCode: number): number {
  return returnCodes[reasonCode] ?? 5
}
