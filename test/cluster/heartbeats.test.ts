import assert from 'node:assert/strict'
import { test } from 'node:test'
import { immediates, message, TestBroker } from './brokers.ts'
import { FaultyBus } from './faulty-bus.ts'
import { ManualClock } from '../support/clock.ts'

interface Setting {
  readonly bus: FaultyBus
  /** Each broker has its own, so that one can stand still. */
  readonly clocks: ManualClock[]
  readonly all: TestBroker[]
  /** Lets time pass for all, or for those. */
  pass(milliseconds: number, clocks?: ManualClock[]): void
}

async function brokers(...ids: string[]): Promise<Setting> {
  const bus = new FaultyBus()
  const clocks = ids.map(() => new ManualClock())
  const all = ids.map((id, index) => new TestBroker(bus.emitter(), id, clocks[index] as ManualClock))
  const pass = (milliseconds: number, those = clocks): void => {
    // In small steps, as their times go together.
    for (let passed = 0; passed < milliseconds; passed += 100) for (const clock of those) clock.advance(100)
  }
  const started = all.map((one) => one.cluster.start())
  pass(2_000)
  await Promise.all(started)
  for (const one of all) one.log()
  return { bus, clocks, all, pass }
}

test('a gap is told once, and what comes after it arrives', async () => {
  const { bus, all } = await brokers('a', 'b')
  const [a, b] = all
  bus.fault = ({ topic }) => (topic === 'lost' ? 'lose' : 'arrive')
  for (const topic of ['1', 'lost', 'lost', 'lost', '2', '3']) a?.cluster.publish([message(topic)])
  assert.deepEqual(b?.log(), ['a published 1', 'missed a', 'a published 2', 'a published 3'])
})

test('a loss after which nothing comes is noticed with the next heartbeat', async () => {
  const { bus, all, pass } = await brokers('a', 'b')
  const [a, b] = all
  bus.fault = ({ topic }) => (topic === 'lost' ? 'lose' : 'arrive')
  a?.cluster.publish([message('lost')])
  assert.deepEqual(b?.log(), [])
  pass(1_000)
  assert.deepEqual(b?.log(), ['missed a'])
  pass(5_000)
  assert.deepEqual(b?.log(), [])
})

test('an answer tells of what was lost before it', async () => {
  const { bus, all } = await brokers('a', 'b')
  const [a, b] = all
  assert.ok(a && b)
  bus.fault = ({ topic }) => (topic === 'lost' ? 'lose' : 'arrive')
  b.answer = () => {
    b.cluster.publish([message('lost')])
    return 1
  }
  await a.cluster.request('who', 1, { timeoutMs: 10 })
  assert.deepEqual(a.log(), ['missed b'])
})

test('what comes twice is received once, also a question', async () => {
  const { bus, all } = await brokers('a', 'b')
  const [a, b] = all
  assert.ok(a && b)
  bus.fault = () => 'twice'
  a.cluster.publish([message('1')])
  a.cluster.broadcast('2', 1)
  await a.cluster.request('3', 1, { timeoutMs: 10 })
  assert.deepEqual(b.log(), ['a published 1', 'a told 2', 'a asked 3'])
})

test('what is overtaken counts as lost, and is not received when it comes', async () => {
  const { bus, all, pass } = await brokers('a', 'b')
  const [a, b] = all
  bus.fault = ({ topic }) => (topic === 'late' ? 'hold' : 'arrive')
  for (const topic of ['1', 'late', '2']) a?.cluster.publish([message(topic)])
  bus.release()
  pass(1_000)
  assert.deepEqual(b?.log(), ['a published 1', 'missed a', 'a published 2'])
})

test('a broker that is silent for too long counts as dead, and one that is heard does not', async () => {
  const { clocks, all, pass } = await brokers('a', 'b', 'c')
  const [a, b] = all
  pass(5_000, [clocks[0], clocks[1]] as ManualClock[])
  assert.deepEqual(a?.members, ['b', 'c'])
  pass(1_000, [clocks[0], clocks[1]] as ManualClock[])
  assert.deepEqual(a?.log(), ['c left: silence'])
  assert.deepEqual(b?.log(), ['c left: silence'])
  assert.deepEqual(a?.members, ['b'])
})

test('a broker that was only slow joins again, and nothing was lost', async () => {
  const { clocks, all, pass } = await brokers('a', 'b')
  const [a, b] = all
  b?.cluster.publish([message('before')])
  a?.log()
  pass(6_000, [clocks[0]] as ManualClock[])
  assert.deepEqual(a?.log(), ['b left: silence'])
  b?.cluster.publish([message('again')])
  assert.deepEqual(a?.log(), ['b joined', 'b published again'])
})

test('a broker that joins again tells of what was lost meanwhile', async () => {
  const { bus, all, pass } = await brokers('a', 'b')
  const [a, b] = all
  bus.fault = ({ brokerId }, broker) => (broker === 0 && brokerId !== 'a' ? 'lose' : 'arrive')
  b?.cluster.publish([message('lost')])
  pass(6_000)
  bus.fault = () => 'arrive'
  pass(1_000)
  assert.deepEqual(a?.log(), ['b left: silence', 'b joined', 'missed b'])
})

test('a broker that does not hear itself takes nobody for dead, and listens again', async () => {
  const { bus, all, pass } = await brokers('a', 'b')
  const [a, b] = all
  bus.fault = (_, broker) => (broker === 0 ? 'lose' : 'arrive')
  b?.cluster.publish([message('lost')])
  pass(2_500)
  const before = bus.listeners[0]
  pass(1_000)
  await immediates()
  assert.ok(bus.listeners.length === 2 && bus.listeners[0] !== before, 'it did not listen again')
  bus.fault = () => 'arrive'
  pass(6_000)
  assert.deepEqual(a?.log(), ['interrupted', 'missed b'])
})

test('a process that stood still does not take the others for dead when it goes on', async () => {
  const { clocks, all, pass } = await brokers('a', 'b', 'c')
  const [a] = all
  const [standing] = clocks as [ManualClock]
  standing.standStill(60_000)
  pass(1_000)
  assert.deepEqual(a?.log(), [])
  assert.deepEqual(a.members, ['b', 'c'])
})

test('after standing still, a broker that is really dead is noticed in its time', async () => {
  const { clocks, all, pass } = await brokers('a', 'b')
  const [standing] = clocks as [ManualClock]
  standing.standStill(60_000)
  pass(6_000, [standing])
  assert.deepEqual(all[0]?.log(), ['b left: silence'])
})

test('a broker that began while we could not hear it has lost us its messages', async () => {
  const { bus, clocks, all, pass } = await brokers('a')
  const [a] = all
  const clock = clocks[0] as ManualClock
  bus.fault = ({ brokerId }, broker) => (broker === 0 && brokerId !== 'a' ? 'lose' : 'arrive')
  const newcomer = new TestBroker(bus.emitter(), 'newcomer', clock)
  const started = newcomer.cluster.start()
  newcomer.cluster.publish([message('lost')])
  pass(2_000)
  await started
  bus.fault = () => 'arrive'
  pass(1_000)
  assert.deepEqual(a?.log(), ['newcomer joined', 'missed newcomer'])
})

test('a broker that was there before us begins where it is', async () => {
  const { bus, clocks, all } = await brokers('a')
  for (const topic of ['1', '2', '3']) all[0]?.cluster.publish([message(topic)])
  const newcomer = new TestBroker(bus.emitter(), 'newcomer', clocks[0] as ManualClock)
  await newcomer.cluster.start()
  all[0]?.cluster.publish([message('4')])
  assert.deepEqual(newcomer.log(), ['a joined', 'a published 4'])
})

test('a broker waits for those that others know of, whose answers are late', async () => {
  const { bus, clocks } = await brokers('a', 'b')
  bus.fault = ({ brokerId }, broker) => (brokerId === 'b' && broker === 2 ? 'hold' : 'arrive')
  const newcomer = new TestBroker(bus.emitter(), 'newcomer', clocks[0] as ManualClock)
  let hasStarted = false
  const started = newcomer.cluster.start().then(() => (hasStarted = true))
  await new Promise(setImmediate)
  assert.equal(hasStarted, false)
  bus.release()
  await started
  assert.deepEqual(newcomer.members, ['a', 'b'])
})

test('what comes after a goodbye is not heard', async () => {
  const { bus, all, pass } = await brokers('a', 'b')
  const [a, b] = all
  bus.fault = ({ topic }) => (topic === 'late' ? 'hold' : 'arrive')
  b?.cluster.publish([message('late')])
  await b?.cluster.stop()
  bus.release()
  pass(10_000)
  assert.deepEqual(a?.log(), ['missed b', 'b left: leave'])
})
