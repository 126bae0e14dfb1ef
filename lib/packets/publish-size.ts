import type { Message } from '../../types/message.ts'
import { encodeProperties } from './properties.ts'
import { encodedPublishSize } from './publish.ts'

/** The largest packet: Remaining Length is at most 268,435,455, and stands with the type in five bytes (section 2.1.4). */
export const LARGEST_PACKET: number = 268_435_460

const NOTHING = Buffer.alloc(0)

// Topic Name, Content Type, Response Topic and Correlation Data have at most 65,535 bytes each; the rest is short.
const OTHER_BYTES = 5 * 65_540

/** Whether no PUBLISH of MQTT 5.0 can carry the message. Measured only when it is near the limit. */
export function isTooLarge({ topic, payload, properties }: Pick<Message, 'topic' | 'payload' | 'properties'>): boolean {
  let most = payload.length + OTHER_BYTES
  const pairs = properties?.userProperties
  if (pairs !== undefined) for (const [name, value] of pairs) most += 5 + 3 * (name.length + value.length)
  if (most <= LARGEST_PACKET) return false
  const encoded = properties === undefined ? NOTHING : encodeProperties(properties, 'publish')
  return encodedPublishSize(5, topic, payload, 1, encoded) > LARGEST_PACKET
}
