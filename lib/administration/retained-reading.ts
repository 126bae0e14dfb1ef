import type { Message } from '../../types/message.ts'
import { MqttError } from '../errors.ts'
import type { RetainedMessages } from '../messages/retained-messages.ts'
import { hasWildcard, parseTopicFilter } from '../topics/topic-filter.ts'

/** The parts of the broker that are used here. */
interface RetainedReadingContext {
  readonly lifecycle: { readonly restored: Promise<void> | undefined }
  readonly retained: Pick<RetainedMessages, 'get' | 'match'>
}

/** Reads the retained messages of the topics that match a filter; see `Broker.retained`. */
export function readRetained(broker: RetainedReadingContext, filter: string): AsyncIterableIterator<Message> {
  const isFilter = typeof filter === 'string' && parseTopicFilter(filter, Infinity) !== undefined
  if (isFilter) return read(broker, filter)
  const given = JSON.stringify(filter)?.slice(0, 80)
  throw new MqttError('topic-filter-invalid', `expected a Topic Filter, got ${given}`)
}

async function* read({ lifecycle, retained }: RetainedReadingContext, filter: string): AsyncIterableIterator<Message> {
  await lifecycle.restored
  if (hasWildcard(filter)) {
    yield* retained.match(filter)
    return
  }
  const message = retained.get(filter)
  if (message !== undefined) yield message
}
