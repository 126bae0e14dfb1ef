import type { UnsubscribePacket } from '../../types/packets.ts'
import type { Connection } from '../connection/connection.ts'
import { ReasonCode } from '../packets/reason-codes.ts'
import { parseTopicFilter } from '../topics/topic-filter.ts'
import { checkTopicFilter } from './topic-filters.ts'

/** UNSUBSCRIBE (section 3.10): removes the subscriptions; inflight messages are still completed. */
export function handleUnsubscribe(connection: Connection, packet: UnsubscribePacket): void {
  const { broker, session, client } = connection
  if (session === undefined || client === undefined) return
  for (const topicFilter of packet.topicFilters) checkTopicFilter(connection, topicFilter)
  const reasonCodes = packet.topicFilters.map((topicFilter) => {
    if (broker.sessions.unsubscribe(session, topicFilter)) {
      broker.notify('unsubscribed', topicFilter, client)
      return ReasonCode.success
    }
    const isValid = parseTopicFilter(topicFilter, broker.settings.limits.maxTopicLevels) !== undefined
    return isValid ? ReasonCode.noSubscriptionExisted : ReasonCode.topicFilterInvalid
  })
  connection.replies.reply(() => {
    connection.send({ type: 'unsuback', packetId: packet.packetId, reasonCodes, properties: undefined }) // [MQTT-3.10.4-5]
  })
}
