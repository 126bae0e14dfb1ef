/** Where everything of ours stands: a Client can neither publish nor subscribe there. */
export const RESERVED = '$mq/'

const ALIAS = `${RESERVED}topic/`

/** The tries of the adapters throw above 100 levels, and then a whole store cannot be read. */
const MOST_LEVELS = 90

/**
 * The text under which a topic or a filter is stored. The adapters cannot keep all: one object's key is `__proto__`,
 * and a trie has its limit.
 */
export function storedTopic(topic: string): string {
  const fits = topic !== '__proto__' && topic.split('/', MOST_LEVELS + 1).length <= MOST_LEVELS
  return fits ? topic : ALIAS + Buffer.from(topic).toString('base64url')
}

export function topicOf(stored: string): string {
  return stored.startsWith(ALIAS) ? Buffer.from(stored.slice(ALIAS.length), 'base64url').toString() : stored
}
