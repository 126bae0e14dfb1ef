import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { countLevels, isValidTopicName } from '../../lib/topics/topic-name.ts'

suite('topic names', () => {
  for (const topic of [
    'a',
    '/',
    '//',
    ' ',
    'a b',
    '$SYS/x',
    'a/',
    '/a',
    '🦟',
    '\ufeff',
    '__proto__',
    'a'.repeat(65_535),
  ]) {
    test(`${JSON.stringify(topic.slice(0, 10))} is a valid Topic Name`, () => {
      assert.equal(isValidTopicName(topic, 128), true)
    })
  }

  const invalid: [topic: string, why: string][] = [
    ['', 'it is empty [MQTT-4.7.3-1]'],
    ['a\0', 'of U+0000 [MQTT-4.7.3-2]'],
    ['a/+', 'of a wildcard [MQTT-3.3.2-2]'],
    ['a+b', 'of a wildcard [MQTT-3.3.2-2]'],
    ['#', 'of a wildcard [MQTT-3.3.2-2]'],
    ['a/b#c', 'of a wildcard [MQTT-3.3.2-2]'],
    ['a'.repeat(65_536), 'it is too long [MQTT-4.7.3-3]'],
    ['\u20ac'.repeat(21_846), 'its UTF-8 is too long [MQTT-4.7.3-3]'],
    ['/'.repeat(128), 'it has 129 levels'],
  ]
  for (const [topic, why] of invalid) {
    test(`${JSON.stringify(topic.slice(0, 10))} is not a valid Topic Name: ${why}`, () => {
      assert.equal(isValidTopicName(topic, 128), false)
    })
  }

  test('an empty level is a level', () => {
    assert.deepEqual(['a', '/', 'a/b', '/a/', '//'].map(countLevels), [1, 2, 2, 3, 3])
    assert.equal(isValidTopicName('/'.repeat(127), 128), true)
  })
})
