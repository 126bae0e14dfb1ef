import type { MessageInit } from '../../types/message.ts'
import { InvalidOptionError, MqttError } from '../errors.ts'
import { expected, isBoolean } from '../options.ts'
import { isTooLarge } from '../packets/publish-size.ts'
import { faultInMessageProperties } from '../packets/properties.ts'
import { isValidTopicName } from '../topics/topic-name.ts'
import type { Message } from './message.ts'

const fields = 'topic, payload, qos, retain, properties'

/**
 * Checks the fields of a message of the application; see `Broker.publish` for the errors. A field that there is not may be
 * a misspelt one, which would change the message in silence.
 */
export function checkMessage(init: MessageInit, maxTopicLevels: number): void {
  const given: unknown = init
  if (typeof given !== 'object' || given === null) expected('message', 'an object with a topic', given)
  // A loop, because it takes nothing from the heap: this is done for each message.
  for (const name in init) {
    switch (name) {
      case 'topic':
      case 'payload':
      case 'qos':
      case 'retain':
      case 'properties':
        break
      default:
        throw new InvalidOptionError(`message.${name}: no such field; there are ${fields}`)
    }
  }
  if (typeof init.topic !== 'string' || !isValidTopicName(init.topic, maxTopicLevels)) {
    throw new MqttError('topic-name-invalid', `expected a Topic Name, got ${JSON.stringify(init.topic)?.slice(0, 80)}`)
  }
  if (init.qos !== undefined && init.qos !== 0 && init.qos !== 1 && init.qos !== 2)
    expected('message.qos', '0, 1 or 2', init.qos)
  if (init.retain !== undefined) isBoolean('message.retain', init.retain)
  const fault = init.properties && faultInMessageProperties(init.properties)
  if (fault !== undefined) throw new InvalidOptionError(`message.${fault}`)
}

/** Throws for a message that no PUBLISH packet can carry. */
export function checkMessageSize(message: Message): void {
  if (isTooLarge(message)) {
    throw new MqttError(
      'packet-too-large',
      `expected a message whose PUBLISH has at most 268,435,455 bytes, got a payload of ${message.payload.length}`,
    )
  }
}
