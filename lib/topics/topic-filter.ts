/** Topic Filters of subscriptions (section 4.7) and of shared subscriptions (section 4.8.2). */
import { countLevels, fitsOnTheWire } from './topic-name.ts'

export interface ParsedFilter {
  /** The filter without `$share/name/`, which is compared with Topic Names. */
  readonly topicFilter: string
  /** The ShareName; undefined if the subscription is not shared. */
  readonly shareName: string | undefined
  readonly hasWildcard: boolean
}

const SHARE = '$share/'

/** Returns the parts of a Topic Filter, or undefined if it is not valid or has more than `maximumLevels` levels. */
export function parseTopicFilter(filter: string, maximumLevels: number): ParsedFilter | undefined {
  if (!fitsOnTheWire(filter) || filter.includes('\0')) return undefined // [MQTT-4.7.3-2], [MQTT-4.7.3-3]
  if (filter === '$share') return undefined
  if (!filter.startsWith(SHARE)) return parseUnshared(filter, undefined, maximumLevels)

  const end = filter.indexOf('/', SHARE.length)
  if (end <= SHARE.length) return undefined // [MQTT-4.8.2-1]
  const shareName = filter.slice(SHARE.length, end)
  if (hasWildcard(shareName)) return undefined // [MQTT-4.8.2-2]
  return parseUnshared(filter.slice(end + 1), shareName, maximumLevels)
}

/**
 * True if a Client may send it as a Topic Filter: it has at least one character, and wildcards occupy whole levels. In
 * MQTT 5.0 one that begins with `$share/` has the form of a shared subscription; MQTT 3 does not know these.
 */
export function isWellFormed(filter: string, protocolLevel: number): boolean {
  if (filter === '') return false // [MQTT-4.7.3-1]
  if (protocolLevel === 5 && filter.startsWith(SHARE)) return parseTopicFilter(filter, Infinity) !== undefined
  return !hasWildcard(filter) || wildcardsStandAlone(filter)
}

/** True if the valid Topic Filter has a wildcard, `+` or `#`. */
export function hasWildcard(topicFilter: string): boolean {
  return topicFilter.includes('+') || topicFilter.includes('#')
}

/** True if a message published to `topic` matches a subscription to `topicFilter`. */
export function matches(topicFilter: string, topic: string): boolean {
  const wanted = topicFilter.split('/')
  const levels = topic.split('/')
  if (topic.startsWith('$') && (wanted[0] === '#' || wanted[0] === '+')) return false // [MQTT-4.7.2-1]

  for (const [index, level] of wanted.entries()) {
    if (level === '#') return true // Also past the last level of the topic: 'a/#' matches its parent 'a'.
    if (index >= levels.length) return false
    if (level !== '+' && level !== levels[index]) return false
  }
  return wanted.length === levels.length
}

function parseUnshared(
  topicFilter: string,
  shareName: string | undefined,
  maximumLevels: number,
): ParsedFilter | undefined {
  if (topicFilter === '' || countLevels(topicFilter) > maximumLevels) return undefined // [MQTT-4.7.3-1]
  if (!hasWildcard(topicFilter)) return { topicFilter, shareName, hasWildcard: false }
  if (!wildcardsStandAlone(topicFilter)) return undefined
  return { topicFilter, shareName, hasWildcard: true }
}

/** `+` must occupy a whole level [MQTT-4.7.1-2], `#` the whole last level [MQTT-4.7.1-1]. */
function wildcardsStandAlone(topicFilter: string): boolean {
  const last = topicFilter.length - 1
  for (let index = 0; index <= last; index += 1) {
    const character = topicFilter[index]
    if (character !== '+' && character !== '#') continue
    if (index > 0 && topicFilter[index - 1] !== '/') return false
    if (index < last && (character === '#' || topicFilter[index + 1] !== '/')) return false
  }
  return true
}
