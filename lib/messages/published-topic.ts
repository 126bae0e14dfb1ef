import type { Core } from '../core.ts'
import { MqttError } from '../errors.ts'
import { countLevels } from '../topics/topic-name.ts'

/** What no Client may publish to, whatever the hooks say: the broker's own topics, and what is a filter, not a name. */
export function checkPublishedTopic(core: Core, topic: string): void {
  if (topic.charCodeAt(0) === 0x24 /* $ */) {
    if (topic === '$SYS' || topic.startsWith('$SYS/')) throw new MqttError('not-authorized', '$SYS is the broker’s')
    if (topic === '$share' || topic.startsWith('$share/'))
      throw new MqttError('topic-name-invalid', '$share is for subscriptions')
  }
  if (topic.length > core.settings.limits.maxTopicLevels && countLevels(topic) > core.settings.limits.maxTopicLevels) {
    throw new MqttError('topic-name-invalid', 'too many levels')
  }
}
