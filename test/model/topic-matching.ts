/** Section 4.7, level by level and as slowly as it reads. */
export function matches(topicFilter: string, topic: string): boolean {
  if (topic.startsWith('$') && !topicFilter.startsWith('$')) return false // [MQTT-4.7.2-1]
  return matchLevels(topicFilter.split('/'), topic.split('/'))
}

function matchLevels(filter: readonly string[], topic: readonly string[]): boolean {
  const [first, ...rest] = filter
  if (first === undefined) return topic.length === 0
  if (first === '#') return true // Also the parent level, and all that is below.
  if (topic.length === 0) return false
  return (first === '+' || first === topic[0]) && matchLevels(rest, topic.slice(1))
}
