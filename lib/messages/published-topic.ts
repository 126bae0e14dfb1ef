import type { Core } from '../core.ts'
import { MqttError } from '../errors.ts'
import { countLevels, isValidTopicName } from '../topics/topic-name.ts'

/** What no Client may publish to, whatever the hooks say: the broker's own topics, and what is a filter, not a name. */
export function checkPublishedTopic(core: Core, topic: string): void {
  const { maxTopicLevels } = core.settings.limits
  if (topic.charCodeAt(0) === 0x24 /* $ */) {
    if (topic === '$SYS' || topic.startsWith('$SYS/')) throw new MqttError('not-authorized', '$SYS is the broker’s')
    if (topic === '$share' || topic.startsWith('$share/')) {
      throw new MqttError('topic-name-invalid', '$share is for subscriptions')
    }
    const reserved = core.commits?.storage.reserved
    if (reserved !== undefined && topic.startsWith(reserved)) {
      throw new MqttError('not-authorized', `${reserved} is the store’s`)
    }
  }
  if (topic.length > maxTopicLevels && countLevels(topic) > maxTopicLevels) {
    throw new MqttError('topic-name-invalid', 'too many levels')
  }
}

/** The same for a topic that a hook made: nothing has looked at it yet. */
export function checkRewrittenTopic(core: Core, topic: string): void {
  if (!isValidTopicName(topic, core.settings.limits.maxTopicLevels)) {
    throw new MqttError('topic-name-invalid', 'a hook changed the topic to one that is none')
  }
  checkPublishedTopic(core, topic)
}
