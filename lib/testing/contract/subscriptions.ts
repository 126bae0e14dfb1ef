import assert from 'node:assert/strict'
import type { PersistedSubscription } from '../../../types/persistence.ts'
import type { StoreUnderTest } from '../store-under-test.ts'
import type { TestCase } from '../test-case.ts'
import { listOf, plain, sorted, subscription } from '../values.ts'

const full = subscription('a/+', { qos: 2, rh: 2, rap: true, nl: true, subscriptionIdentifier: 268_435_455 })

async function subscriptionsOf(store: StoreUnderTest, id: string): Promise<unknown[]> {
  const stored = await store.persistence.subscriptionsByClient({ id })
  return stored.toSorted((a, b) => (a.topic < b.topic ? -1 : 1)).map(fields)
}

function fields({ topic, qos, rh, rap, nl, subscriptionIdentifier }: PersistedSubscription): unknown {
  return plain({ topic, qos, rh, rap, nl, subscriptionIdentifier })
}

async function matching(store: StoreUnderTest, topic: string): Promise<string[]> {
  const found = await store.persistence.subscriptionsByTopic(topic)
  return sorted(found.map((each) => `${each.clientId} ${each.topic}`))
}

export const subscriptionCases: readonly TestCase[] = [
  {
    name: 'a subscription keeps its options and its identifier',
    restarts: true,
    async run(store) {
      await store.persistence.addSubscriptions({ id: 'c' }, [full, subscription('b')])
      await store.restart()
      assert.deepEqual(await subscriptionsOf(store, 'c'), [fields(full), fields(subscription('b'))])
      const [found] = await store.persistence.subscriptionsByTopic('a/x')
      const { clientId, topic, qos, rh, rap, nl } = found!
      assert.deepEqual(
        { clientId, topic, qos, rh, rap, nl },
        {
          clientId: 'c',
          topic: 'a/+',
          qos: 2,
          rh: 2,
          rap: true,
          nl: true,
        },
      )
    },
  },
  {
    name: 'a subscription that replaces another has none of its options [MQTT-3.8.4-3]',
    restarts: true,
    parts: ['replaced-fields'],
    async run(store) {
      await store.persistence.addSubscriptions({ id: 'c' }, [full])
      await store.persistence.addSubscriptions({ id: 'c' }, [subscription('a/+')])
      await store.restart()
      assert.deepEqual(await subscriptionsOf(store, 'c'), [fields(subscription('a/+'))])
      assert.deepEqual(await matching(store, 'a/x'), ['c a/+'])
    },
  },
  {
    name: 'a subscription keeps the filter that a hook granted, the QoS that was asked for, who made it and its copies',
    restarts: true,
    parts: ['granted-filters'],
    async run(store) {
      const granted = subscription('a', {
        grantedTopic: 'tenant/a',
        requestedQos: 2,
        byApplication: true,
        ownCopy: true,
      })
      await store.persistence.addSubscriptions({ id: 'c' }, [granted])
      await store.restart()
      const [stored] = await store.persistence.subscriptionsByClient({ id: 'c' })
      assert.equal(stored?.grantedTopic, 'tenant/a')
      assert.equal(stored?.requestedQos, 2)
      assert.equal(stored?.byApplication, true)
      assert.equal(stored?.ownCopy, true)
    },
  },
  {
    name: 'a Client has its subscriptions until they are removed, one, several or all',
    restarts: true,
    async run(store) {
      const filters = ['a', 'a/#', '+/b', 'c']
      for (const id of ['c', 'd']) {
        await store.persistence.addSubscriptions(
          { id },
          filters.map((topic) => subscription(topic)),
        )
      }
      await store.persistence.removeSubscriptions({ id: 'c' }, ['a', 'never/had'])
      await store.restart()
      assert.deepEqual(await matching(store, 'a'), ['c a/#', 'd a', 'd a/#'])
      await store.persistence.removeSubscriptions({ id: 'c' }, ['a/#', '+/b'])
      await store.restart()
      assert.deepEqual(await matching(store, 'a/b'), ['d +/b', 'd a/#'])
      assert.deepEqual(await subscriptionsOf(store, 'c'), [fields(subscription('c'))])
      await store.persistence.cleanSubscriptions({ id: 'd' })
      await store.restart()
      assert.deepEqual(await subscriptionsOf(store, 'd'), [])
      assert.deepEqual(await matching(store, 'c'), ['c c'])
      assert.deepEqual(await store.persistence.countOffline(), { subsCount: 1, clientsCount: 1 })
    },
  },
  {
    name: 'a subscription at QoS 0 is kept, but no topic finds it and no count has it',
    restarts: true,
    async run(store) {
      await store.persistence.addSubscriptions({ id: 'c' }, [subscription('a', { qos: 0 }), subscription('b')])
      await store.restart()
      assert.equal((await subscriptionsOf(store, 'c')).length, 2)
      if (store.lacks('qos-0-subscriptions')) return
      assert.deepEqual(await matching(store, 'a'), [])
      assert.deepEqual(await store.persistence.countOffline(), { subsCount: 1, clientsCount: 1 })
      // And when it takes the place of one that was found before.
      await store.persistence.addSubscriptions({ id: 'c' }, [subscription('b', { qos: 0 })])
      assert.deepEqual(await matching(store, 'b'), [])
    },
  },
  {
    name: 'no wildcard at the first level matches a $ topic [MQTT-4.7.2-1]',
    restarts: true,
    parts: ['dollar-topics'],
    async run(store) {
      await store.persistence.addSubscriptions(
        { id: 'c' },
        ['#', '+/b', '$SYS/#', '+'].map((topic) => subscription(topic)),
      )
      await store.restart()
      assert.deepEqual(await matching(store, '$SYS/b'), ['c $SYS/#'])
      assert.deepEqual(await matching(store, '$app'), [])
    },
  },
  {
    name: '+ matches an empty level',
    restarts: true,
    parts: ['empty-levels'],
    async run(store) {
      for (const topic of ['a/+', '+/+', '/#', '#']) {
        await store.persistence.addSubscriptions({ id: 'c' }, [subscription(topic)])
      }
      await store.restart()
      assert.deepEqual(await matching(store, 'a/'), ['c #', 'c +/+', 'c a/+'])
      assert.deepEqual(await matching(store, '/'), ['c #', 'c +/+', 'c /#'])
    },
  },
  {
    name: 'characters that mean something elsewhere mean nothing in a Topic Filter',
    restarts: true,
    parts: ['glob-characters'],
    async run(store) {
      const filters = ['dev[1]/+', 'a*/+', 'a?/#', '^a.$/+']
      await store.persistence.addSubscriptions(
        { id: 'c' },
        filters.map((topic) => subscription(topic)),
      )
      await store.restart()
      assert.deepEqual(await matching(store, 'dev[1]/x'), ['c dev[1]/+'])
      assert.deepEqual(await matching(store, 'dev1/x'), [])
      assert.deepEqual(await matching(store, 'ab/x'), [])
      assert.deepEqual(await matching(store, 'a?/x'), ['c a?/#'])
      assert.deepEqual(await listOf(store.persistence.getClientList('a*/+')), ['c'])
    },
  },
  {
    name: 'the Clients of a filter are listed, those of another filter that matches it are not',
    restarts: true,
    async run(store) {
      await store.persistence.addSubscriptions({ id: 'c' }, [subscription('a'), subscription('b')])
      await store.persistence.addSubscriptions({ id: 'd' }, [subscription('a')])
      await store.persistence.addSubscriptions({ id: 'e' }, [subscription('#')])
      await store.restart()
      assert.deepEqual(sorted(await listOf(store.persistence.getClientList('a'))), ['c', 'd'])
      assert.deepEqual(await listOf(store.persistence.getClientList('none')), [])
    },
  },
  {
    name: 'all subscriptions can be read at the start',
    restarts: true,
    needs: 'allSubscriptions',
    parts: ['optional-methods'],
    async run(store) {
      await store.persistence.addSubscriptions({ id: 'c' }, [full, subscription('b', { qos: 0 })])
      await store.persistence.addSubscriptions({ id: 'd' }, [full])
      await store.restart()
      const all = (await listOf(store.persistence.allSubscriptions!())).map((each) => plain(each))
      const expected = [
        { clientId: 'c', subscription: fields(full) },
        { clientId: 'c', subscription: fields(subscription('b', { qos: 0 })) },
        { clientId: 'd', subscription: fields(full) },
      ]
      const inOrder = (list: readonly unknown[]): string[] => sorted(list.map((each) => JSON.stringify(each)))
      assert.deepEqual(
        inOrder(
          all.map((each) => {
            const { clientId, subscription: stored } = each as (typeof expected)[number] // what `allSubscriptions` gives
            return { clientId, subscription: fields(stored as PersistedSubscription) }
          }),
        ),
        inOrder(expected),
      )
    },
  },
]
