import { setImmediate } from 'node:timers/promises'
import { MqttError } from '../errors.ts'
import type { LocalPublisher, LocalPublisherContext } from '../messages/local-publisher.ts'
import type { Message } from '../messages/message.ts'
import { parseTopicFilter } from '../topics/topic-filter.ts'

// Messages that are removed at a time; each waits for its commit.
const PAGE = 256

interface RetainedRemovalContext extends Pick<LocalPublisherContext, 'lifecycle' | 'limits' | 'retained'> {
  readonly localPublisher: LocalPublisher
}

/** Removes the retained messages that match a filter. See `Broker.clearRetained`. */
export async function clearRetained(broker: RetainedRemovalContext, filter: string): Promise<number> {
  const { lifecycle, limits, localPublisher, retained } = broker
  const parsed = typeof filter === 'string' ? parseTopicFilter(filter, limits.maxTopicLevels) : undefined
  if (parsed === undefined || parsed.shareName !== undefined) {
    throw new MqttError('topic-filter-invalid', `expected a Topic Filter, got ${JSON.stringify(filter)?.slice(0, 80)}`)
  }
  lifecycle.refuseClosed()
  await lifecycle.restored
  const found: Message[] = []
  for (const queued of retained.search(parsed.topicFilter)) {
    if (queued === undefined) await setImmediate()
    else if (!queued.message.topic.startsWith('$SYS/')) found.push(queued.message) // Each broker publishes its own.
  }
  let count = 0
  for (let start = 0; start < found.length; start += PAGE) {
    lifecycle.refuseClosed()
    // One that was replaced meanwhile was published after the call.
    const page = found.slice(start, start + PAGE).filter((message) => retained.get(message.topic) === message)
    await Promise.all(page.map(({ topic }) => localPublisher.publish({ topic, payload: '', retain: true })))
    count += page.length
    await setImmediate()
  }
  return count
}
