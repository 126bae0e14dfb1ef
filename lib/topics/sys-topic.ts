/** Topics below `$SYS`, where a Server publishes about itself. */

/** True for the topic at which mosquitto publishes whether its bridge with this Client Identifier is connected. */
export function isBridgeState(topic: string, clientId: string): boolean {
  return topic === `$SYS/broker/connection/${clientId}/state`
}

/** True for topics of the broker itself: it does not store their messages, and does not replicate them to peers. */
export function isOfBroker(topic: string): boolean {
  if (!topic.startsWith('$SYS/')) return false
  return !(topic.startsWith('$SYS/broker/connection/') && topic.endsWith('/state'))
}
