import type { Reader } from './reader.ts'
import { malformedPacket } from './violation.ts'

type ReasonCodeList =
  | 'connack'
  | 'connectReturn'
  | 'puback'
  | 'pubrec'
  | 'pubrel'
  | 'pubcomp'
  | 'suback'
  | 'subackReturn'
  | 'unsuback'
  | 'disconnect'
  | 'auth'

const published = new Set([0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99])
const released = new Set([0x00, 0x92])

/** The Reason Codes that each packet may carry; `connectReturn` and `subackReturn` are those of MQTT 3. */
export const reasonCodesOf: Readonly<Record<ReasonCodeList, ReadonlySet<number>>> = {
  connack: new Set([
    0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95, 0x97, 0x99, 0x9a, 0x9b,
    0x9c, 0x9d, 0x9f,
  ]), // [MQTT-3.2.2-8]
  connectReturn: new Set([0, 1, 2, 3, 4, 5]),
  puback: published, // [MQTT-3.4.2-1]
  pubrec: published, // [MQTT-3.5.2-1]
  pubrel: released, // [MQTT-3.6.2-1]
  pubcomp: released, // [MQTT-3.7.2-1]
  suback: new Set([0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2]), // [MQTT-3.9.3-2]
  subackReturn: new Set([0x00, 0x01, 0x02, 0x80]),
  unsuback: new Set([0x00, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91]), // [MQTT-3.11.3-2]
  disconnect: new Set([
    0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8c, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97,
    0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2,
  ]), // [MQTT-3.14.2-1]
  auth: new Set([0x00, 0x18, 0x19]), // [MQTT-3.15.2-1]
}

/** The next byte, which must be one of these Reason Codes. */
export function readReasonCode(reader: Reader, codes: ReadonlySet<number>): number {
  const reasonCode = reader.uint8('Reason Code')
  if (!codes.has(reasonCode)) throw malformedPacket(`Reason Code: ${reasonCode} is not one that this packet may carry`)
  return reasonCode
}

// Reason Codes that only a CONNACK may carry; other packets send "not authorized" instead.
const notAuthorized = new Set([0x86, 0x8a, 0x8c])

/** The Reason Code that this packet sends to refuse for `reason`: the same code, if the packet may carry it. */
export function refusalCodeFor(
  packet: 'connack' | 'puback' | 'pubrec' | 'suback' | 'disconnect',
  reason: number,
): number {
  if (reason >= 0x80 && reasonCodesOf[packet].has(reason)) return reason
  return notAuthorized.has(reason) ? 0x87 : 0x80
}
