/** Topics of the adapter: a Client can neither publish nor subscribe there. */
export const RESERVED = '$mq/'

const ALIAS = `${RESERVED}topic/`

/** The tries of the adapters throw above 100 levels, and then the whole store cannot be read. */
const MAX_LEVELS = 90

/**
 * The stored form of a Topic Name or Topic Filter. Adapters cannot store all: `__proto__` is no key of a plain object,
 * and a trie has its limit.
 */
export function storedTopic(topic: string): string {
  const fits = topic !== '__proto__' && topic.split('/', MAX_LEVELS + 1).length <= MAX_LEVELS
  return fits ? topic : ALIAS + Buffer.from(topic).toString('base64url')
}

export function topicOf(stored: string): string {
  return stored.startsWith(ALIAS) ? Buffer.from(stored.slice(ALIAS.length), 'base64url').toString() : stored
}
