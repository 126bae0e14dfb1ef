import { MqttError } from '../errors.ts'
import { isBridgeState } from '../topics/sys-topic.ts'
import { countLevels, isValidTopicName } from '../topics/topic-name.ts'

/** The settings for topics that may be published to. */
export interface TopicRules {
  readonly settings: { readonly limits: { readonly maxTopicLevels: number } }
  /** `reserved` is the prefix of topics that the storage uses itself. */
  readonly commits: { readonly storage: { readonly reserved?: string | undefined } } | undefined
}

/** Throws for a topic to which the Client with this identifier may not publish, also if a hook permits it. */
export function checkPublishedTopic(rules: TopicRules, topic: string, clientId: string): void {
  const { maxTopicLevels } = rules.settings.limits
  if (topic.charCodeAt(0) === 0x24 /* $ */) {
    const isSys = topic === '$SYS' || topic.startsWith('$SYS/')
    if (isSys && !isBridgeState(topic, clientId)) throw new MqttError('not-authorized', '$SYS is the broker’s')
    if (topic === '$share' || topic.startsWith('$share/')) {
      throw new MqttError('topic-name-invalid', '$share is for subscriptions')
    }
    const reserved = rules.commits?.storage.reserved
    if (reserved !== undefined && topic.startsWith(reserved)) {
      throw new MqttError('not-authorized', `${reserved} is the store’s`)
    }
  }
  if (topic.length > maxTopicLevels && countLevels(topic) > maxTopicLevels) {
    throw new MqttError('topic-name-invalid', 'too many levels')
  }
}

/** The same for a topic from a hook, which has not been checked yet. */
export function checkRewrittenTopic(rules: TopicRules, topic: string, clientId: string): void {
  if (!isValidTopicName(topic, rules.settings.limits.maxTopicLevels)) {
    throw new MqttError('topic-name-invalid', 'a hook changed the topic to one that is none')
  }
  checkPublishedTopic(rules, topic, clientId)
}
