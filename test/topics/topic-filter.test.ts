import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import { hasWildcard, matches, parseTopicFilter } from '../../lib/topics/topic-filter.ts'
import { topicFilters, topics } from './arbitraries.ts'

const levels = (count: number) => Array.from({ length: count }, () => '+').join('/')

suite('topic filters', () => {
  const valid: [filter: string, topicFilter: string, shareName: string | undefined][] = [
    ['a', 'a', undefined],
    ['/', '/', undefined],
    ['//', '//', undefined],
    ['#', '#', undefined],
    ['/#', '/#', undefined],
    ['+', '+', undefined],
    ['+/+', '+/+', undefined],
    ['/+', '/+', undefined],
    ['+/a/#', '+/a/#', undefined],
    ['a/+/b/#', 'a/+/b/#', undefined],
    ['sport/tennis/#', 'sport/tennis/#', undefined],
    ['$SYS/#', '$SYS/#', undefined],
    ['$shared', '$shared', undefined],
    ['$shared/a/b', '$shared/a/b', undefined],
    ['a/$share/b', 'a/$share/b', undefined],
    ['/$share/g/t', '/$share/g/t', undefined],
    ['$SHARE/g/t', '$SHARE/g/t', undefined],
    ['$share/g/t', 't', 'g'],
    ['$share/g/#', '#', 'g'],
    ['$share/g//', '/', 'g'],
    ['$share/g//t', '/t', 'g'],
    ['$share/g/a/+/b', 'a/+/b', 'g'],
    ['$share/$share/x/y', 'x/y', '$share'],
    ['$share/g/$share/g/t', '$share/g/t', 'g'],
    ['a b/ c', 'a b/ c', undefined],
    ['\ufeff', '\ufeff', undefined],
    ['🦟/+', '🦟/+', undefined],
  ]
  for (const [filter, topicFilter, shareName] of valid) {
    test(`${JSON.stringify(filter)} is a valid Topic Filter`, () => {
      assert.deepEqual(parseTopicFilter(filter, 128), { topicFilter, shareName, hasWildcard: hasWildcard(topicFilter) })
    })
  }

  const invalid: [filter: string, why: string][] = [
    ['', 'it is empty [MQTT-4.7.3-1]'],
    ['a\0b', 'of U+0000 [MQTT-4.7.3-2]'],
    ['#/a', '# is not last [MQTT-4.7.1-1]'],
    ['a/#/b', '# is not last [MQTT-4.7.1-1]'],
    ['a/#/', '# is not last [MQTT-4.7.1-1]'],
    ['##', '# is not a whole level [MQTT-4.7.1-1]'],
    ['a#', '# is not a whole level [MQTT-4.7.1-1]'],
    ['#a', '# is not a whole level [MQTT-4.7.1-1]'],
    ['a/b#', '# is not a whole level [MQTT-4.7.1-1]'],
    ['+#', 'neither is a whole level [MQTT-4.7.1-1]'],
    ['a+', '+ is not a whole level [MQTT-4.7.1-2]'],
    ['+a', '+ is not a whole level [MQTT-4.7.1-2]'],
    ['++', '+ is not a whole level [MQTT-4.7.1-2]'],
    ['a/+b/c', '+ is not a whole level [MQTT-4.7.1-2]'],
    ['a/b+/c', '+ is not a whole level [MQTT-4.7.1-2]'],
    ['$share', 'it has no ShareName [MQTT-4.8.2-1]'],
    ['$share/', 'it has no ShareName [MQTT-4.8.2-1]'],
    ['$share//t', 'it has no ShareName [MQTT-4.8.2-1]'],
    ['$share/g', 'it has no filter [MQTT-4.8.2-2]'],
    ['$share/g/', 'it has no filter [MQTT-4.8.2-2]'],
    ['$share/+/t', 'the ShareName has a wildcard [MQTT-4.8.2-2]'],
    ['$share/g#/t', 'the ShareName has a wildcard [MQTT-4.8.2-2]'],
    ['$share/g/a+', '+ is not a whole level [MQTT-4.7.1-2]'],
    ['$share/g/#/t', '# is not last [MQTT-4.7.1-1]'],
  ]
  for (const [filter, why] of invalid) {
    test(`${JSON.stringify(filter)} is not a valid Topic Filter: ${why}`, () => {
      assert.equal(parseTopicFilter(filter, 128), undefined)
    })
  }

  test('a Topic Filter has at most the configured number of levels, its $share part not counted', () => {
    for (const prefix of ['', '$share/g/']) {
      assert.ok(parseTopicFilter(prefix + levels(128), 128))
      assert.equal(parseTopicFilter(prefix + levels(129), 128), undefined)
    }
    assert.equal(parseTopicFilter('/'.repeat(65_535), 128), undefined)
  })

  test('a Topic Filter has at most 65,535 bytes of UTF-8 [MQTT-4.7.3-3]', () => {
    assert.ok(parseTopicFilter('a'.repeat(65_535), 128))
    assert.equal(parseTopicFilter('a'.repeat(65_536), 128), undefined)
    assert.ok(parseTopicFilter('\u20ac'.repeat(21_845), 128))
    assert.equal(parseTopicFilter(`${'\u20ac'.repeat(21_845)}a`, 128), undefined)
  })

  const examples: [topicFilter: string, topic: string, expected: boolean][] = [
    ['sport/tennis/player1/#', 'sport/tennis/player1', true],
    ['sport/tennis/player1/#', 'sport/tennis/player1/ranking', true],
    ['sport/tennis/player1/#', 'sport/tennis/player1/score/wimbledon', true],
    ['sport/#', 'sport', true],
    ['sport/#', 'sports', false],
    ['#', 'a', true],
    ['#', '/', true],
    ['sport/tennis/+', 'sport/tennis/player1', true],
    ['sport/tennis/+', 'sport/tennis/player1/ranking', false],
    ['sport/+', 'sport', false],
    ['sport/+', 'sport/', true],
    ['+/+', '/finance', true],
    ['/+', '/finance', true],
    ['+', '/finance', false],
    ['+', 'a', true],
    ['+/#', 'a', true],
    ['#', '$SYS/a', false],
    ['+', '$SYS', false],
    ['+/monitor/Clients', '$SYS/monitor/Clients', false],
    ['+/#', '$SYS', false],
    ['$SYS/#', '$SYS/', true],
    ['$SYS/#', '$SYS', true],
    ['$SYS/monitor/+', '$SYS/monitor/Clients', true],
    ['a/+', 'a/$b', true],
    ['a/#', 'a/$b', true],
    ['a/b', 'a/b', true],
    ['a/b', 'A/b', false],
    ['/a', 'a', false],
    ['a/', 'a', false],
    ['\u00e9', 'e\u0301', false],
  ]
  for (const [topicFilter, topic, expected] of examples) {
    test(`${topicFilter} ${expected ? 'matches' : 'does not match'} ${topic}`, () => {
      assert.equal(matches(topicFilter, topic), expected)
    })
  }

  test('a Topic Filter without wildcards matches itself only [MQTT-4.7.3-4]', () => {
    fc.assert(fc.property(topics, topics, (filter, topic) => matches(filter, topic) === (filter === topic)))
  })

  test('every Topic Filter that is put together from whole levels is valid, alone and shared', () => {
    fc.assert(
      fc.property(topicFilters, (topicFilter) => {
        fc.pre(!topicFilter.startsWith('$share'))
        const parts = { topicFilter, hasWildcard: hasWildcard(topicFilter) }
        assert.deepEqual(parseTopicFilter(topicFilter, 9), { ...parts, shareName: undefined })
        assert.deepEqual(parseTopicFilter(`$share/x/${topicFilter}`, 9), { ...parts, shareName: 'x' })
      }),
    )
  })
})
