import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PublishPacket } from '../../types/packets.ts'
import { type Machine, startMachine } from '../broker/machine.ts'

const session = { sessionExpiryInterval: 3600 }

function shown({ payload, dup, retain }: PublishPacket): string {
  return `${payload.toString()}${dup ? ' dup' : ''}${retain ? ' retained' : ''}`
}

/** The message ids in the stored queue of a Client, in order. A store knows a queued message by nothing else. */
async function storedIds(machine: Machine, clientId: string): Promise<string[]> {
  const ids: string[] = []
  for (const state of await machine.stored()) {
    if (state.kind !== 'session' || state.clientId !== clientId) continue
    for (const { packet } of state.queue) ids.push(`${packet.brokerId} ${packet.brokerCounter}`)
  }
  return ids
}

test('a message and its retained copy are stored under two ids, and both are delivered after a crash', async (t) => {
  const machine = startMachine(t)
  const publisher = await machine.client('publisher')
  const one = await machine.client('one', { properties: { ...session, receiveMaximum: 1 } })
  await one.subscribe('t', { qos: 1 })
  assert.equal(await publisher.publish('t', 'm', { qos: 1, retain: true }), 0)
  assert.equal(shown(await one.receives('publish')), 'm')
  await one.subscribe('+', { qos: 1 }) // Its retained copy is queued: the send quota is used.
  assert.equal(await publisher.publish('t', 'n', { qos: 1 }), 0)
  await one.quiet()
  const ids = await storedIds(machine, 'one')
  assert.deepEqual([ids.length, new Set(ids).size], [3, 3])
  await machine.restart()
  const again = await machine.client('one')
  const got: string[] = []
  for (let count = 0; count < 3; count += 1) {
    const packet = await again.receives('publish')
    await again.acknowledge(packet)
    got.push(shown(packet))
  }
  assert.deepEqual(got, ['m dup', 'm retained', 'n'])
  await again.quiet()
  await machine.restart()
  await (await machine.client('one')).quiet() // All of them are out of the storage.
})

test('a retained copy stays stored when the message that came by another subscription is discarded', async (t) => {
  const machine = startMachine(t)
  const publisher = await machine.client('publisher')
  const one = await machine.client('one', { properties: { ...session, receiveMaximum: 1 } })
  await one.subscribe('first', { qos: 1 })
  await one.subscribe('$share/group/t', { qos: 1 })
  await publisher.publish('first', 'x', { qos: 1 })
  assert.equal(shown(await one.receives('publish')), 'x') // In flight, so the others are queued.
  await publisher.publish('t', 'm', { qos: 1, retain: true })
  await one.subscribe('+', { qos: 1 })
  await one.quiet()
  await machine.restart()
  const second = await machine.client('one', { properties: { ...session, receiveMaximum: 1 } })
  assert.equal(shown(await second.receives('publish')), 'x dup')
  await second.unsubscribe('$share/group/t') // The message that came by it is discarded, and its retained copy is not.
  await machine.restart()
  const third = await machine.client('one')
  assert.equal(await third.message(), 'x')
  assert.equal(shown(await third.receives('publish')), 'm retained')
  await third.quiet()
})
