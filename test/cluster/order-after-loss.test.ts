/** The order of one publisher's messages when packets between brokers are lost and its Client goes to another broker. */
import assert from 'node:assert/strict'
import { suite, test, type TestContext } from 'node:test'
import type { EmitterMessage } from '../../types/emitter.ts'
import type { Persistence } from '../../types/persistence.ts'
import type { QoS } from '../../types/packets.ts'
import { LeapingClock } from '../support/clock.ts'
import { publishPacket, type TestClient } from '../support/client.ts'
import { lasting, type Member, memoryGround, Taker, Together, until } from './together.ts'

/** Lets the reading of one queue wait at its end, when it can find nothing more. */
class SlowReading {
  clientId = ''
  isWaiting = false
  #go: () => void = () => undefined
  #end = Promise.resolve()

  hold(clientId: string): void {
    this.clientId = clientId
    this.isWaiting = false
    this.#end = new Promise((resolve) => (this.#go = resolve))
  }

  end(): void {
    this.clientId = ''
    this.#go()
  }

  around(store: Persistence): Persistence {
    const outgoingStream: Persistence['outgoingStream'] = (client) => this.#read(client, store)
    return new Proxy(store, {
      get(target, name) {
        if (name === 'outgoingStream') return outgoingStream
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  }

  async *#read(client: { readonly id: string }, store: Persistence): AsyncGenerator<never> {
    for await (const packet of store.outgoingStream(client)) yield packet as never
    if (client.id !== this.clientId) return
    this.isWaiting = true
    await this.#end
  }
}

interface Scene {
  readonly together: Together
  readonly readings: readonly SlowReading[]
  readonly members: readonly Member[]
}

async function scene(t: TestContext, count: number): Promise<Scene> {
  const ground = memoryGround()
  const together = new Together(ground)
  t.after(async () => {
    for (const reading of readings) reading.end()
    await together.end()
  })
  const readings = Array.from({ length: count }, () => new SlowReading())
  const adding: Promise<Member>[] = []
  for (const reading of readings) {
    const now = Date.now()
    adding.push(together.add({ persistence: reading.around(ground.persistence()) }))
    await until(() => Date.now() > now, 'the next millisecond') // This store sorts by the starts of brokers.
  }
  await ground.clock.leap(3000) // No other broker responds to the first.
  return { together, readings, members: await Promise.all(adding) }
}

async function publishAll(publisher: TestClient, qos: QoS, payloads: readonly string[]): Promise<void> {
  for (const payload of payloads) await publisher.publish('t', payload, { qos })
}

async function subscriberAt(member: Member, qos: QoS): Promise<Taker> {
  const client = await member.client('s', lasting)
  await client.subscribe('t', { qos })
  return new Taker(client)
}

const isMessage = ({ cmd }: EmitterMessage): boolean => cmd === 'publish'

/** The messages are lost on their way to the member. */
async function lost(member: Member, publisher: TestClient, qos: QoS, payloads: readonly string[]): Promise<void> {
  member.emitter.loses = isMessage
  await publishAll(publisher, qos, payloads)
  member.emitter.loses = () => false
}

suite('what a publisher sends elsewhere after a loss between brokers follows what was lost [MQTT-4.6.0-6]', () => {
  for (const qos of [1, 2] as const) {
    test(`QoS ${qos}, to the owner broker of the subscriber`, async (t) => {
      const { members, together } = await scene(t, 2)
      const [a, b] = members as [Member, Member]
      const taker = await subscriberAt(b, qos)
      let publisher = await a.client('p', lasting)
      await publishAll(publisher, qos, ['1'])
      await taker.has(1)
      await lost(b, publisher, qos, ['2', '3'])
      publisher = await b.client('p', lasting)
      await publishAll(publisher, qos, ['4', '5'])
      await together.ground.clock.leap(1000)
      assert.deepEqual(await taker.has(5), ['1', '2', '3', '4', '5'])
      await publishAll(publisher, qos, ['6'])
      assert.deepEqual((await taker.has(6)).slice(5), ['6'])
    })
  }

  test('to a third broker, while the owner broker has not heard the first one since it lost the connection', async (t) => {
    const { members, together } = await scene(t, 3)
    const [a, b, c] = members as [Member, Member, Member]
    const taker = await subscriberAt(b, 2)
    let publisher = await a.client('p', lasting)
    await publishAll(publisher, 2, ['1'])
    await taker.has(1)
    const idOfA = await brokerIdOf(a, b)
    b.emitter.loses = () => true
    await publishAll(publisher, 2, ['2'])
    b.emitter.loses = ({ brokerId }) => brokerId === idOfA
    publisher = await c.client('p', lasting)
    b.emitter.state.emit('subConnect')
    await publishAll(publisher, 2, ['3'])
    b.emitter.loses = () => false
    await together.ground.clock.leap(1000)
    assert.deepEqual(await taker.has(3), ['1', '2', '3'])
  })

  test('to the broker that reads the session of the subscriber', async (t) => {
    const { members, readings } = await scene(t, 3)
    const [a, b, c] = members as [Member, Member, Member]
    const { client } = await subscriberAt(b, 2)
    await client.drop()
    let publisher = await a.client('p', lasting)
    await publishAll(publisher, 2, ['1'])
    readings[2]!.hold('s')
    const back = c.open()
    const connected = back.connect('s', lasting)
    await until(() => readings[2]!.isWaiting, 'the reading')
    await lost(c, publisher, 2, ['2'])
    publisher = await c.client('p', lasting)
    publisher.send(publishPacket('t', '3', { qos: 2, packetId: 9 })) // It is stored after the reading.
    await publisher.quiet()
    readings[2]!.end()
    assert.equal((await connected).reasonCode, 0)
    assert.deepEqual(await new Taker(back).has(3), ['1', '2', '3'])
  })

  test('after a second loss while what was lost first is read', async (t) => {
    const { members, readings, together } = await scene(t, 2)
    const [a, b] = members as [Member, Member]
    const taker = await subscriberAt(b, 2)
    let publisher = await a.client('p', lasting)
    readings[1]!.hold('s')
    await lost(b, publisher, 2, ['1'])
    await together.ground.clock.leap(2000)
    await until(() => readings[1]!.isWaiting, 'the reading')
    await lost(b, publisher, 2, ['2'])
    publisher = await b.client('p', lasting)
    publisher.send(publishPacket('t', '3', { qos: 2, packetId: 9 })) // It is stored after the reading.
    await publisher.quiet()
    readings[1]!.end()
    assert.deepEqual(await taker.has(3), ['1', '2', '3'])
  })

  test('to a third broker that has noticed the death of the first one before the owner broker', async (t) => {
    const { members, together } = await scene(t, 1)
    const [a] = members as [Member]
    const [clockOfB, clockOfC] = [new LeapingClock(), new LeapingClock()]
    const next = Date.now()
    await until(() => Date.now() > next, 'the next millisecond')
    const b = await together.add({ clock: clockOfB })
    const c = await together.add({ clock: clockOfC })
    const taker = await subscriberAt(b, 2)
    let publisher = await a.client('p', lasting)
    await publishAll(publisher, 2, ['1'])
    await taker.has(1)
    a.fall()
    await publishAll(publisher, 2, ['2']) // It is stored and acknowledged, and no other broker is notified.
    for (let step = 0; step < 30; step += 1) {
      await clockOfC.leap(250)
      await clockOfB.leap(100)
    }
    publisher = await c.client('p', lasting)
    await publishAll(publisher, 2, ['3'])
    await clockOfB.leap(1000)
    assert.deepEqual(await taker.has(3), ['1', '2', '3'])
  })
})

/** Ids of brokers are not public; the packets on the emitter have them. */
async function brokerIdOf(one: Member, other: Member): Promise<unknown> {
  let id: unknown
  other.emitter.loses = ({ brokerId, topic }) => {
    if (topic === 'who') id = brokerId
    return false
  }
  await one.broker.publish({ topic: 'who', payload: '' })
  await until(() => id !== undefined, 'the packet')
  return id
}

test('messages do not wait for a reading when a broker leaves', async (t) => {
  const { members, readings, together } = await scene(t, 3)
  const [a, b, c] = members as [Member, Member, Member]
  const taker = await subscriberAt(b, 1)
  readings[1]!.hold('s')
  await c.broker.close({ graceMs: 0 })
  await together.ground.clock.leap(1000)
  const publisher = await b.client('p')
  await publishAll(publisher, 1, ['1'])
  await publishAll(await a.client('q'), 1, ['2'])
  assert.deepEqual((await taker.has(2)).toSorted(), ['1', '2'])
})
