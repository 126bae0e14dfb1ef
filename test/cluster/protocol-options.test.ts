/** What messages of other brokers have in common with those of the own broker. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { BrokerOptions } from '../../types/options.ts'
import type { PublishPacket } from '../../types/packets.ts'
import type { TestClient } from '../support/client.ts'
import { lasting, type Member, memoryGround, Together } from './together.ts'

async function two(t: TestContext, options: BrokerOptions = {}): Promise<[Member, Member]> {
  const together = await Together.start(memoryGround(), 2, options)
  t.after(() => together.end())
  return together.members as [Member, Member]
}

async function copies(client: TestClient, count: number): Promise<string[]> {
  const packets: PublishPacket[] = []
  for (let number = 0; number < count; number += 1) packets.push(await client.receives('publish'))
  for (const packet of packets) await client.acknowledge(packet)
  await client.quiet()
  return packets
    .map(
      ({ payload, qos, properties }) =>
        `${payload.toString()} ${qos} ${properties?.subscriptionIdentifiers?.join() ?? '-'}`,
    )
    .toSorted()
}

test('copyPerSubscription: a peer’s messages have a copy for each subscription, but one copy in a store of aedes', async (t) => {
  const [a, b] = await two(t, { copyPerSubscription: true })
  const [one, stored] = [await a.client('one'), await a.client('stored', lasting)]
  for (const client of [one, stored]) {
    await client.subscribe('#', { qos: 1 }, { subscriptionIdentifier: 1 })
    await client.subscribe('a', { qos: 2 }, { subscriptionIdentifier: 2 })
  }
  await b.broker.publish({ topic: 'a', payload: 'live', qos: 2 })
  assert.deepEqual(await copies(one, 2), ['live 1 1', 'live 2 2'])
  assert.deepEqual(await copies(stored, 1), ['live 2 1,2'])
  await stored.drop()
  await b.broker.publish({ topic: 'a', payload: 'peer', qos: 2 })
  await a.broker.publish({ topic: 'a', payload: 'owner', qos: 2 })
  assert.deepEqual(await copies(one, 4), ['owner 1 1', 'owner 2 2', 'peer 1 1', 'peer 2 2'])
  assert.deepEqual(await copies(await b.client('stored', lasting), 2), ['owner 2 1,2', 'peer 2 1,2'])
})

test('a message with an expiry of 0 reaches the Clients of a peer that are connected', async (t) => {
  const [a, b] = await two(t)
  const away = await a.client('away', lasting)
  await away.subscribe('t', { qos: 2 })
  await away.drop()
  const one = await a.client('one', lasting)
  await one.subscribe('t', { qos: 2 })
  const publisher = await b.client('publisher')
  for (const qos of [0, 1, 2] as const) {
    await publisher.publish('t', `${qos}`, { qos, properties: { messageExpiryInterval: 0 } })
    assert.equal(await one.message(), `${qos}`)
  }
  await (await b.client('away', lasting)).quiet()
})

test('the state of a bridge of mosquitto is known at all brokers', async (t) => {
  const [a, b] = await two(t)
  const watcher = await b.client('watcher')
  const state = '$SYS/broker/connection/one/state'
  await watcher.subscribe(state)
  const one = await a.client('one')
  await one.publish(state, '1', { qos: 1, retain: true })
  assert.equal(await watcher.message(), '1')
  const late = await b.client('late')
  await late.subscribe(state)
  assert.equal(await late.message(), '1')
})
