import assert from 'node:assert/strict'
import { test } from 'node:test'
import { statisticKinds } from '../../lib/index.ts'
import type { BrokerStatistics } from '../../types/statistics.ts'
import { start } from '../support/client.ts'

test('every number of stats() has a kind, and there is no kind without a number', (t) => {
  const { broker } = start(t)
  assert.deepEqual(Object.keys(broker.stats()).toSorted(), Object.keys(statisticKinds).toSorted())
  assert.deepEqual([...new Set(Object.values(statisticKinds))].toSorted(), ['counter', 'gauge'])
})

test('the numbers of stats() have types', (t) => {
  const { broker } = start(t)
  const stats: BrokerStatistics = broker.stats()
  const byName: Readonly<Record<string, number>> = broker.stats()
  assert.equal(stats.clientsConnected, 0)
  assert.equal(byName.clientsConnected, 0)
  // @ts-expect-error: a misspelt name
  assert.equal(stats.clientConnected, undefined)
  // @ts-expect-error: the numbers are read only
  stats.sessions = 1
})

test('counters go up only, and gauges return to what they were', async (t) => {
  const { broker, client } = start(t)
  const before = broker.stats()
  const one = await client('one')
  await one.subscribe('t', { qos: 1 })
  await broker.publish({ topic: 't', payload: 'x', qos: 1 })
  await one.message()
  await one.publish('u', 'x', { qos: 1 })
  const during = broker.stats()
  await one.disconnect()
  const after = broker.stats()
  for (const [name, kind] of Object.entries(statisticKinds) as [keyof BrokerStatistics, string][]) {
    if (kind === 'counter') assert.ok(before[name] <= during[name] && during[name] <= after[name], name)
    else if (name !== 'clientsMaximum') assert.equal(after[name], before[name], name)
  }
  assert.equal(during.clientsConnected, 1)
})
