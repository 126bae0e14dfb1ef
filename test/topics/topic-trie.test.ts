import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import { matches } from '../../lib/topics/topic-filter.ts'
import { TopicTrie } from '../../lib/topics/topic-trie.ts'
import { topicFilters, topics } from './arbitraries.ts'

interface Retained {
  readonly topic: string
}
const topicsOf = (found: Iterable<Retained>) => [...found].map(({ topic }) => topic).toSorted()

function trieOf(names: Iterable<string>): TopicTrie<Retained> {
  const trie = new TopicTrie<Retained>()
  for (const topic of names) trie.set(topic, { topic })
  return trie
}

suite('topic trie', () => {
  test('a Topic Filter finds the values of all Topic Names that it matches [MQTT-4.7.2-1]', () => {
    const steps = fc.array(fc.tuple(fc.integer({ min: 0, max: 3 }), topics), { maxLength: 60, size: 'max' })
    fc.assert(
      fc.property(steps, fc.array(topicFilters, { minLength: 1, maxLength: 20 }), (changes, filters) => {
        const trie = new TopicTrie<Retained>()
        const model = new Map<string, Retained>()
        for (const [kind, topic] of changes) {
          const before = model.get(topic)
          if (kind > 0) {
            const value = { topic }
            assert.equal(trie.set(topic, value), before)
            model.set(topic, value)
          } else {
            assert.equal(trie.delete(topic), before)
            model.delete(topic)
          }
          assert.equal(trie.get(topic), model.get(topic))
          assert.equal(trie.size, model.size)
        }
        for (const filter of filters) {
          const expected = [...model.keys()].filter((topic) => matches(filter, topic)).toSorted()
          assert.deepEqual(topicsOf(trie.match(filter)), expected, filter)
        }
        assert.deepEqual(topicsOf(trie.values()), [...model.keys()].toSorted())
        for (const topic of model.keys()) trie.delete(topic)
        assert.equal(trie.nodeCount, 0)
      }),
      { numRuns: 500 },
    )
  })

  test('values that come and go during a search are found or not, all others once', () => {
    const changes = fc.array(fc.array(fc.tuple(fc.boolean(), topics), { maxLength: 3 }), { maxLength: 30, size: 'max' })
    fc.assert(
      fc.property(
        fc.uniqueArray(topics, { maxLength: 30, size: 'max' }),
        topicFilters,
        changes,
        (names, filter, between) => {
          const trie = trieOf(names)
          const touched = new Set<string>()
          const found: string[] = []
          let step = 0
          for (const { topic } of trie.match(filter)) {
            assert.ok(trie.get(topic) !== undefined, 'what is given is there')
            found.push(topic)
            for (const [comes, name] of between[step] ?? []) {
              touched.add(name)
              if (comes) trie.set(name, { topic: name })
              else trie.delete(name)
            }
            step += 1
          }
          const untouched = (name: string) => !touched.has(name)
          assert.deepEqual(
            found.filter(untouched).toSorted(),
            names.filter((name) => untouched(name) && matches(filter, name)).toSorted(),
          )
        },
      ),
      { numRuns: 500 },
    )
  })

  test('a big answer can be taken in pieces and left early', () => {
    const trie = trieOf(Array.from({ length: 1000 }, (_, index) => `a/${index}`))
    const answer = trie.match('a/#')
    assert.equal(
      [answer.next(), answer.next()].every(({ done }) => done === false),
      true,
    )
    answer.return()
    assert.equal(answer.next().done, true)
  })

  test('a/+/b among 100,000 topics looks at the children of a only', () => {
    const names = Array.from({ length: 100_000 }, (_, index) => `root${index % 1000}/${index}/b`)
    const trie = trieOf([...names, 'a/1/b', 'a/2/c', 'a/3/b'])
    assert.deepEqual(topicsOf(trie.match('a/+/b')), ['a/1/b', 'a/3/b'])
    // A search yields undefined after every 64 nodes that it has looked at.
    assert.ok(!Array.from(trie.search('a/+/b')).includes(undefined))
  })

  test('a topic of 65,535 levels is kept, found and removed without recursion', () => {
    const topic = '/'.repeat(65_534)
    const trie = trieOf([topic])
    assert.deepEqual(topicsOf(trie.match('#')), [topic])
    assert.deepEqual(topicsOf(trie.match(`+${'/+'.repeat(65_534)}`)), [topic])
    trie.delete(topic)
    assert.equal(trie.nodeCount, 0)
  })
})
