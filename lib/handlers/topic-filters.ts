import type { Connection } from '../connection/connection.ts'
import { ProtocolError } from '../errors.ts'
import { ReasonCode } from '../packets/reason-codes.ts'
import { isWellFormed } from '../topics/topic-filter.ts'

/** Throws for a Topic Filter of SUBSCRIBE or UNSUBSCRIBE that is not well-formed (section 4.7), before one is handled. */
export function checkTopicFilter({ protocolLevel }: Connection, topicFilter: string): void {
  if (isWellFormed(topicFilter, protocolLevel)) return
  throw new ProtocolError(ReasonCode.malformedPacket, 'a Topic Filter that is not well-formed') // [MQTT-4.13.1-1]
}
