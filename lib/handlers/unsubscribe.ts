import type { UnsubscribePacket } from '../../types/packets.ts'
import type { Connection } from '../connection/connection.ts'
import { ReasonCode } from '../packets/reason-codes.ts'
import { parseTopicFilter } from '../topics/topic-filter.ts'

/** UNSUBSCRIBE (section 3.10): what was begun is completed, nothing new is added, and each filter has its answer. */
export function handleUnsubscribe(connection: Connection, packet: UnsubscribePacket): void {
  const { core, session, client } = connection
  if (session === undefined || client === undefined) return
  const reasonCodes = packet.topicFilters.map((topicFilter) => {
    if (core.sessions.unsubscribe(session, topicFilter)) {
      core.notify('unsubscribed', topicFilter, client)
      return ReasonCode.success
    }
    const isValid = parseTopicFilter(topicFilter, core.settings.limits.maxTopicLevels) !== undefined
    return isValid ? ReasonCode.noSubscriptionExisted : ReasonCode.topicFilterInvalid
  })
  const answer = (): void => {
    connection.send({ type: 'unsuback', packetId: packet.packetId, reasonCodes, properties: undefined }) // [MQTT-3.10.4-5]
  }
  if (session.storage.isDurable) connection.afterCommit(answer)
  else answer()
}
