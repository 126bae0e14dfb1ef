/** The differences between emitters, which the rest of the cluster need not know. */
import { SENTINEL_TOPIC } from './redis.ts'

export { addCallbackId, bytesOfBinary } from './mongodb.ts'
export { RedisReconnects as Reconnects } from './redis.ts'

// mqemitter throws for more than 100 levels, mqemitter-redis does so in each receiver, and a prefix has levels too.
const MAX_LEVELS = 64

/** Whether an emitter itself publishes on this topic. */
export function isOfEmitter(topic: string): boolean {
  return topic === SENTINEL_TOPIC
}

/** Whether every emitter carries a message with this topic. */
export function carriesTopic(topic: string): boolean {
  if (isOfEmitter(topic)) return false
  let levels = 1
  for (let slash = topic.indexOf('/'); slash !== -1; slash = topic.indexOf('/', slash + 1)) levels += 1
  return levels <= MAX_LEVELS
}
