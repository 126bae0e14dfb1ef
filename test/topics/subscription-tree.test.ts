import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import { SubscriptionTree } from '../../lib/topics/subscription-tree.ts'
import { matches } from '../../lib/topics/topic-filter.ts'
import { topicFilters, topics } from './arbitraries.ts'

interface Subscriber {
  readonly name: string
}
const subscribers: readonly Subscriber[] = ['x', 'y', 'z'].map((name) => ({ name }))

function found(tree: SubscriptionTree<Subscriber>, topic: string): string[] {
  const result: Subscriber[] = []
  tree.match(topic, result)
  return result.map(({ name }) => name).toSorted()
}

/** What it must do, as a list. */
class Model {
  pairs: { topicFilter: string; subscriber: Subscriber }[] = []
  has(topicFilter: string, subscriber: Subscriber): boolean {
    return this.pairs.some((pair) => pair.topicFilter === topicFilter && pair.subscriber === subscriber)
  }
  add(topicFilter: string, subscriber: Subscriber): void {
    if (!this.has(topicFilter, subscriber)) this.pairs.push({ topicFilter, subscriber })
  }
  remove(topicFilter: string, subscriber: Subscriber): boolean {
    const before = this.pairs.length
    this.pairs = this.pairs.filter((pair) => pair.topicFilter !== topicFilter || pair.subscriber !== subscriber)
    return this.pairs.length < before
  }
  found(topic: string): string[] {
    return this.pairs
      .filter(({ topicFilter }) => matches(topicFilter, topic))
      .map(({ subscriber }) => subscriber.name)
      .toSorted()
  }
}

suite('subscription tree', () => {
  test('a message goes to the subscribers of all matching Topic Filters [MQTT-4.7.3-4], [MQTT-4.7.2-1]', () => {
    const steps = fc.array(fc.tuple(fc.integer({ min: 0, max: 3 }), topicFilters, fc.constantFrom(...subscribers)), {
      maxLength: 40,
      size: 'max',
    })
    fc.assert(
      fc.property(steps, fc.array(topics, { minLength: 1, maxLength: 20 }), (changes, published) => {
        const tree = new SubscriptionTree<Subscriber>()
        const model = new Model()
        for (const [kind, topicFilter, subscriber] of changes) {
          const version = tree.version
          const pairs = model.pairs.length
          if (kind > 0) {
            tree.add(topicFilter, subscriber)
            model.add(topicFilter, subscriber)
          } else {
            assert.equal(tree.remove(topicFilter, subscriber), model.remove(topicFilter, subscriber))
          }
          assert.equal(tree.size, model.pairs.length)
          assert.equal(tree.version > version, model.pairs.length !== pairs, 'the version goes up with a change only')
        }
        for (const topic of published) assert.deepEqual(found(tree, topic), model.found(topic), topic)
        for (const { topicFilter, subscriber } of model.pairs) assert.ok(tree.remove(topicFilter, subscriber))
        assert.equal(tree.size, 0)
        assert.equal(tree.nodeCount, 0)
      }),
      { numRuns: 500 },
    )
  })

  test('100,000 random subscribes and unsubscribes leave nothing behind', () => {
    const [filters] = fc.sample(fc.array(topicFilters, { minLength: 300, maxLength: 300 }), { numRuns: 1, seed: 7 })
    const [names] = fc.sample(fc.array(topics, { minLength: 50, maxLength: 50 }), { numRuns: 1, seed: 7 })
    const tree = new SubscriptionTree<Subscriber>()
    const model = new Map<string, Set<Subscriber>>(filters!.map((filter) => [filter, new Set()]))
    let random = 1
    const below = (limit: number): number => {
      random = (random * 48_271) % 2_147_483_647
      return random % limit
    }
    for (let step = 0; step < 100_000; step += 1) {
      const filter = filters![below(filters!.length)]!
      const subscriber = subscribers[below(3)]!
      if (below(2) === 0) {
        tree.add(filter, subscriber)
        model.get(filter)!.add(subscriber)
      } else {
        assert.equal(tree.remove(filter, subscriber), model.get(filter)!.delete(subscriber))
      }
      if (step % 5000 !== 0) continue
      for (const topic of names!) {
        const expected = [...model].flatMap(([each, set]) => (matches(each, topic) ? [...set] : []))
        assert.deepEqual(found(tree, topic), expected.map(({ name }) => name).toSorted())
      }
    }
    for (const [filter, set] of model) for (const subscriber of set) assert.ok(tree.remove(filter, subscriber))
    assert.equal(tree.size, 0)
    assert.equal(tree.nodeCount, 0)
  })

  test('1,000 subscribers of one Topic Filter each get the message, and leave in any order', () => {
    for (const filter of ['a/b', 'a/+', 'a/#', '#', '+/b']) {
      const tree = new SubscriptionTree<Subscriber>()
      const many = Array.from({ length: 1000 }, (_, index) => ({ name: String(index) }))
      for (const subscriber of many) tree.add(filter, subscriber)
      const result: Subscriber[] = []
      tree.match('a/b', result)
      assert.deepEqual(result, many)
      for (const subscriber of many.toReversed()) assert.ok(tree.remove(filter, subscriber))
      assert.deepEqual(found(tree, 'a/b'), [])
      assert.equal(tree.nodeCount, 0)
    }
  })

  test('a subscriber may be a Set', () => {
    const tree = new SubscriptionTree<Set<number>>()
    const subscriber = new Set([1, 2])
    tree.add('a', subscriber)
    const result: Set<number>[] = []
    tree.match('a', result)
    assert.deepEqual(result, [subscriber])
    assert.equal(tree.remove('a', new Set([1])), false)
    assert.equal(tree.remove('a', subscriber), true)
  })

  test('filters of 128 levels with + in many places cost a topic no more than the nodes there are', () => {
    const tree = new SubscriptionTree<Subscriber>()
    const levels = Array.from({ length: 128 }, () => 'a')
    let expected = 0
    for (let index = 0; index < 128; index += 1) {
      tree.add(levels.with(index, '+').join('/'), { name: String(index) })
      tree.add(levels.fill('+', 0, index).join('/'), { name: `first ${index}` })
      levels.fill('a')
      expected += index === 0 ? 1 : 2
    }
    expected += 1 // without any + it is an exact filter
    // With one path for each way to read the topic there would be 2 ** 128 of them, and no end.
    const result: Subscriber[] = []
    for (let times = 0; times < 10; times += 1) tree.match(levels.join('/'), result)
    assert.equal(result.length, expected * 10)
  })

  test('a topic of 65,535 levels is walked without recursion', () => {
    const tree = new SubscriptionTree<Subscriber>()
    const topic = '/'.repeat(65_534)
    tree.add('#', { name: 'all' })
    tree.add('+'.concat('/+'.repeat(65_534)), { name: 'plus' })
    assert.deepEqual(found(tree, topic), ['all', 'plus'])
  })
})
