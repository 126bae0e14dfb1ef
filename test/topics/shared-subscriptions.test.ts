import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import { type SharedGroup, SharedSubscriptions } from '../../lib/topics/shared-subscriptions.ts'
import { matches } from '../../lib/topics/topic-filter.ts'
import { shareNames, topicFilters, topics } from './arbitraries.ts'

interface Member {
  readonly name: string
}
const members: readonly Member[] = Array.from({ length: 100 }, (_, index) => ({ name: String(index) }))
const everyone = () => true
const nobody = () => false
const isNot = (name: string) => (member: Member) => member.name !== name

function groupOf(shared: SharedSubscriptions<Member>, topic: string): SharedGroup<Member> {
  const found: SharedGroup<Member>[] = []
  shared.match(topic, found)
  assert.equal(found.length, 1)
  return found[0]!
}

function groupWith(count: number): { shared: SharedSubscriptions<Member>; group: SharedGroup<Member> } {
  const shared = new SharedSubscriptions<Member>()
  for (const member of members.slice(0, count)) shared.add('g', 'a/+', member)
  return { shared, group: groupOf(shared, 'a/b') }
}

suite('shared subscriptions', () => {
  test('a message finds each group whose Topic Filter matches, once, with its members [MQTT-4.8.2-4]', () => {
    const steps = fc.array(
      fc.tuple(fc.integer({ min: 0, max: 3 }), shareNames, topicFilters, fc.constantFrom(...members.slice(0, 3))),
      { maxLength: 40, size: 'max' },
    )
    fc.assert(
      fc.property(steps, fc.array(topics, { minLength: 1, maxLength: 10 }), (changes, published) => {
        const shared = new SharedSubscriptions<Member>()
        const model = new Map<string, { name: string; filter: string; members: Set<Member> }>()
        for (const [kind, name, filter, member] of changes) {
          const key = JSON.stringify([name, filter])
          const entry = model.get(key) ?? { name, filter, members: new Set() }
          if (kind > 0) {
            shared.add(name, filter, member)
            model.set(key, entry)
            entry.members.add(member)
          } else {
            assert.equal(shared.remove(name, filter, member), entry.members.delete(member))
            if (entry.members.size === 0) model.delete(key)
          }
        }
        assert.equal(
          shared.size,
          [...model.values()].reduce((sum, entry) => sum + entry.members.size, 0),
        )
        for (const topic of published) {
          const found: SharedGroup<Member>[] = []
          shared.match(topic, found)
          const describe = (name: string, filter: string, of: Iterable<Member>) =>
            JSON.stringify([name, filter, [...of].map((member) => member.name).toSorted()])
          assert.deepEqual(
            found.map((group) => describe(group.shareName, group.topicFilter, group.members)).toSorted(),
            [...model.values()]
              .filter(({ filter }) => matches(filter, topic))
              .map((entry) => describe(entry.name, entry.filter, entry.members))
              .toSorted(),
          )
        }
      }),
    )
  })

  test('members take turns', () => {
    const { group } = groupWith(3)
    const turns = Array.from({ length: 7 }, () => group.next(everyone)?.name)
    assert.deepEqual(turns, ['0', '1', '2', '0', '1', '2', '0'])
  })

  test('a member that does not accept is passed over', () => {
    const { group } = groupWith(3)
    assert.equal(group.next(isNot('0'))?.name, '1')
    assert.equal(group.next(isNot('2'))?.name, '0')
    assert.equal(group.next(everyone)?.name, '1')
    assert.equal(group.next(nobody), undefined)
    assert.equal(group.next(everyone)?.name, '2')
  })

  test('of the members with the greatest rank the next one in turn is the best', () => {
    const { group } = groupWith(4)
    const rank = (member: { readonly name: string }, ranks: readonly (number | undefined)[]): number | undefined =>
      ranks[Number(member.name)]
    const best = (...ranks: (number | undefined)[]): string | undefined => group.best(rank, ranks, undefined)?.name
    assert.equal(best(1, 2, 2, 0), '1')
    assert.equal(best(1, 2, 2, 0), '2')
    assert.equal(best(1, 2, 2, 0), '1')
    assert.equal(best(undefined, undefined, undefined, 0), '3')
    assert.equal(best(), undefined)
    assert.equal(best(0, 0, 0, 0), '0')
  })

  test('each member is asked at most once per message', () => {
    const { group } = groupWith(50)
    let asked = 0
    group.next(() => {
      asked += 1
      return false
    })
    assert.equal(asked, 50)
  })

  test('whoever joins or leaves, no other member has two turns in a round or misses one', () => {
    // Index of a member that leaves, joins, or -1 for a message.
    const steps = fc.array(fc.oneof({ weight: 3, arbitrary: fc.constant(-1) }, { weight: 1, arbitrary: fc.nat(79) }), {
      maxLength: 300,
      size: 'max',
    })
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 70 }), steps, (start, changes) => {
        const { shared, group } = groupWith(start)
        shared.add('g', 'a/+', members[99]!) // always there, so that the group stays
        const present = new Set([...members.slice(0, start), members[99]!])
        let served = new Set<Member>()
        for (const index of changes) {
          if (index === -1) {
            const member = group.next(everyone)!
            assert.ok(present.has(member))
            if ([...present].every((each) => served.has(each))) served = new Set()
            assert.ok(!served.has(member), `${member.name} had its turn`)
            served.add(member)
          } else {
            const member = members[index]!
            if (present.delete(member)) {
              assert.ok(shared.remove('g', 'a/+', member))
              served.delete(member)
            } else {
              shared.add('g', 'a/+', member)
              present.add(member)
            }
          }
          assert.equal(shared.size, present.size)
        }
      }),
    )
  })

  test('100,000 random joins and leaves leave nothing behind', () => {
    const shared = new SharedSubscriptions<Member>()
    const inside = new Set<string>()
    let random = 1
    for (let step = 0; step < 100_000; step += 1) {
      random = (random * 48_271) % 2_147_483_647
      const member = members[random % 100]!
      const filter = `${random % 3}/+`
      const key = `${filter} ${member.name}`
      if (inside.delete(key)) assert.ok(shared.remove('g', filter, member))
      else {
        shared.add('g', filter, member)
        inside.add(key)
      }
      assert.equal(shared.size, inside.size)
    }
    for (const key of inside) {
      const [filter, name] = key.split(' ')
      assert.ok(shared.remove('g', filter!, members[Number(name)]!))
    }
    assert.equal(shared.size, 0)
    const found: SharedGroup<Member>[] = []
    shared.match('0/x', found)
    assert.deepEqual(found, [])
  })

  test('the version goes up when a group comes or goes', () => {
    const shared = new SharedSubscriptions<Member>()
    const versions = [shared.version]
    shared.add('g', 'a', members[0]!)
    versions.push(shared.version)
    shared.add('g', 'a', members[1]!)
    versions.push(shared.version)
    shared.remove('g', 'a', members[0]!)
    shared.remove('g', 'a', members[1]!)
    versions.push(shared.version)
    assert.deepEqual(versions, [0, 1, 1, 2])
  })
})
