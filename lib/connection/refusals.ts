import type { DisconnectOptions } from '../../types/client.ts'
import type { ConnackPacket, DisconnectPacket, Packet, ProtocolLevel } from '../../types/packets.ts'
import type { AcknowledgementProperties } from '../../types/properties.ts'
import { MqttError, type ProtocolError } from '../errors.ts'
import { refusalCodeFor } from '../packets/reason-code-lists.ts'
import { connectReturnCode, ReasonCode, reasonNameOf } from '../packets/reason-codes.ts'

// Refusals as packets: Reason Code and reason properties.

const MAX_REASON_STRING_LENGTH = 1024

/** The CONNACK that refuses a CONNECT [MQTT-3.2.2-7]. */
export function refusingConnack(error: MqttError | ProtocolError, protocolLevel: ProtocolLevel): ConnackPacket {
  const reasonCode = refusalCodeFor('connack', error.reasonCode)
  const refusal = error instanceof MqttError ? error : undefined
  const isFive = protocolLevel === 5
  return {
    type: 'connack',
    sessionPresent: false,
    reasonCode: isFive ? reasonCode : connectReturnCode(reasonCode),
    properties: isFive
      ? {
          ...reasonProperties(reasonStringOf(error), refusal?.userProperties),
          ...(refusal?.serverReference !== undefined && { serverReference: refusal.serverReference }),
        }
      : undefined,
  }
}

/**
 * Whether a malformed first packet is refused with a CONNACK: in MQTT 5.0, and for a protocol version that is not
 * supported. `claimedLevel` is the version in the packet. Otherwise the connection ends without a packet.
 */
export function mayRefuseFirstPacket(
  error: MqttError | ProtocolError,
  claimedLevel: ProtocolLevel | undefined,
): boolean {
  // [MQTT-3.1.2-2], as a CONNACK of MQTT 3, which every Client reads.
  if (error.reasonCode === ReasonCode.unsupportedProtocolVersion) return true
  return claimedLevel === 5 // A malformed CONNECT of MQTT 3 has no reply [MQTT-3.1.4-1].
}

/** Reason Strings for a DISCONNECT without one of its own; other codes have their name. */
const texts: Readonly<Record<number, string>> = {
  [ReasonCode.success]: 'the server ended the connection',
  [ReasonCode.serverShuttingDown]: 'the server is shutting down',
  [ReasonCode.keepAliveTimeout]: 'no packet within one and a half times the Keep Alive',
  [ReasonCode.sessionTakenOver]: 'another connection took over the session',
  [ReasonCode.administrativeAction]: 'an administrator ended the connection',
}

/**
 * The DISCONNECT of the Server. Without a Reason String of its own it has a text for its Reason Code, because many programs
 * log nothing else; not if the Client wants no problem information, which is its choice (section 3.1.2.11.7).
 */
export function serverDisconnect(
  reason: number,
  options: DisconnectOptions,
  wantsProblemInformation: boolean,
): DisconnectPacket {
  const { userProperties, serverReference } = options
  const reasonCode = reason === ReasonCode.success ? reason : refusalCodeFor('disconnect', reason)
  const text = wantsProblemInformation ? (texts[reasonCode] ?? reasonNameOf(reasonCode)) : ''
  return {
    type: 'disconnect',
    reasonCode,
    properties: {
      ...reasonProperties(options.reasonString || text, userProperties),
      ...(serverReference !== undefined && { serverReference }),
    },
  }
}

/** The Reason String of an error; '' for none. */
export function reasonStringOf(error: MqttError | ProtocolError): string {
  return error instanceof MqttError ? error.reasonString : error.message
}

/** Reason String and User Properties; undefined when there are none. */
export function reasonProperties(
  reasonString: string,
  userProperties: AcknowledgementProperties['userProperties'],
): AcknowledgementProperties | undefined {
  if (reasonString === '' && userProperties === undefined) return undefined
  return {
    ...(reasonString !== '' && { reasonString: reasonString.slice(0, MAX_REASON_STRING_LENGTH) }),
    ...(userProperties !== undefined && { userProperties }),
  }
}

/** The same packet without Reason String and User Properties; undefined when it has none. */
export function withoutReasonProperties(packet: Packet): Packet | undefined {
  if (!('properties' in packet) || packet.properties === undefined) return undefined
  const { reasonString, userProperties, ...properties } = packet.properties as AcknowledgementProperties & object
  if (reasonString === undefined && userProperties === undefined) return undefined
  return { ...packet, properties }
}
