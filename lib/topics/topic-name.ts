/** Topic Names: where messages are published (section 4.7). */

/** A UTF-8 Encoded String has a length of two bytes (section 1.5.4). */
const MAXIMUM_BYTES = 65_535
/** No UTF-16 code unit becomes more than 3 bytes of UTF-8. */
const ALWAYS_SHORT_ENOUGH = Math.floor(MAXIMUM_BYTES / 3)

/** True if the Topic Name is not empty, has no wildcard and no U+0000, and has at most `maximumLevels` levels. */
export function isValidTopicName(topic: string, maximumLevels: number): boolean {
  return (
    topic.length > 0 && // [MQTT-4.7.3-1]
    !topic.includes('+') && // [MQTT-3.3.2-2]
    !topic.includes('#') &&
    !topic.includes('\0') && // [MQTT-4.7.3-2]
    topic.isWellFormed() && // [MQTT-1.5.4-1]
    fitsOnTheWire(topic) &&
    countLevels(topic) <= maximumLevels
  )
}

/** Number of levels of a Topic Name or Topic Filter: its separators plus one. */
export function countLevels(topic: string): number {
  let levels = 1
  for (let slash = topic.indexOf('/'); slash !== -1; slash = topic.indexOf('/', slash + 1)) levels += 1
  return levels
}

/** True if the UTF-8 form has at most 65,535 bytes [MQTT-4.7.3-3]. */
export function fitsOnTheWire(topic: string): boolean {
  return topic.length <= ALWAYS_SHORT_ENOUGH || Buffer.byteLength(topic) <= MAXIMUM_BYTES
}
