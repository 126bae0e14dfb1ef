import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { MqttError } from '../../lib/errors.ts'
import type { AuthenticationExchange } from '../../types/client.ts'
import type { Plugin } from '../../types/hooks.ts'
import type { AuthPacket } from '../../types/packets.ts'
import {
  connectPacket,
  deferred,
  publishPacket,
  settle,
  start,
  type Setting,
  type TestClient,
  unhandled,
} from '../support/client.ts'

function auth(reasonCode: number, data?: string, method = 'SCRAM'): AuthPacket {
  return {
    type: 'auth',
    reasonCode,
    properties: {
      authenticationMethod: method,
      ...(data !== undefined && { authenticationData: Buffer.from(data) }),
    },
  }
}

function data(packet: { properties?: { authenticationData?: Uint8Array } | undefined }): string | undefined {
  const bytes = packet.properties?.authenticationData
  return bytes === undefined ? undefined : Buffer.from(bytes).toString()
}

const scram = (authenticationData = 'hello'): { properties: object } => ({
  properties: { authenticationMethod: 'SCRAM', authenticationData: Buffer.from(authenticationData) },
})

/** Exchanges two AUTH packets, whose data must be "one" and "two". */
const twoRounds: Plugin = {
  name: 'scram',
  authenticate: async (_request, _info, _signal, authentication) => {
    if (authentication.method !== 'SCRAM') return undefined
    if (authentication.data?.toString() !== 'hello') return false
    if ((await authentication.exchange(Buffer.from('first')))?.toString() !== 'one') return false
    if ((await authentication.exchange(Buffer.from('second')))?.toString() !== 'two') return false
    authentication.conclude(Buffer.from('welcome'))
    return { user: 'scram' }
  },
}

function setting(t: TestContext, reauthenticate?: Plugin['reauthenticate']): Setting {
  return start(t, { plugins: [{ ...twoRounds, ...(reauthenticate && { reauthenticate }) }] })
}

async function connected(s: Setting): Promise<TestClient> {
  const one = s.open()
  one.send(connectPacket('one', scram()))
  await one.receives('auth')
  one.send(auth(0x18, 'one'))
  await one.receives('auth')
  one.send(auth(0x18, 'two'))
  assert.equal((await one.receives('connack')).reasonCode, 0)
  return one
}

test('an exchange of several rounds connects a Client, and the CONNACK concludes it [MQTT-4.12.0-2] [MQTT-4.12.0-3]', async (t) => {
  const { open, broker } = setting(t)
  const one = open()
  one.send(connectPacket('one', scram()))
  const first = await one.receives('auth')
  assert.deepEqual([first.reasonCode, first.properties?.authenticationMethod, data(first)], [0x18, 'SCRAM', 'first'])
  one.send(auth(0x18, 'one'))
  const second = await one.receives('auth')
  assert.deepEqual([second.reasonCode, data(second)], [0x18, 'second'])
  one.send(auth(0x18, 'two'))
  const connack = await one.receives('connack')
  assert.equal(connack.reasonCode, 0)
  assert.equal(connack.properties?.authenticationMethod, 'SCRAM') // [MQTT-4.12.0-5]
  assert.equal(data(connack), 'welcome')
  assert.deepEqual(broker.clients.get('one')?.session, { user: 'scram' })
  await one.quiet()
})

test('a wrong AUTH in the exchange is refused with a CONNACK, and the connection ends [MQTT-4.12.0-4]', async (t) => {
  for (const round of [1, 2]) {
    const { open, broker } = setting(t)
    const one = open()
    one.send(connectPacket('one', scram()))
    await one.receives('auth')
    if (round === 2) {
      one.send(auth(0x18, 'one'))
      await one.receives('auth')
    }
    one.send(auth(0x18, 'wrong'))
    assert.equal((await one.receives('connack')).reasonCode, 0x87)
    await one.ended()
    assert.equal(broker.stats().sessions, 0)
  }
})

test('a method that no plugin knows is refused with 0x8C [MQTT-4.12.0-1]', async (t) => {
  for (const plugins of [[twoRounds], []]) {
    const { open } = start(t, { plugins })
    const one = open()
    const connack = await one.connect('one', { properties: { authenticationMethod: 'GS2-KRB5' } })
    assert.equal(connack.reasonCode, 0x8c)
    await one.ended()
  }
})

test('AUTH with another method during the exchange ends it [MQTT-4.12.0-5]', async (t) => {
  const { open, broker, errors } = setting(t)
  const one = open()
  one.send(connectPacket('one', scram()))
  await one.receives('auth')
  one.send(auth(0x18, 'one', 'OTHER'))
  const connack = await one.receives('connack')
  assert.equal(connack.reasonCode, 0x82)
  await one.ended()
  assert.equal(broker.clients.size, 0)
  assert.deepEqual(errors, [])
})

test('AUTH that is not "continue" during the exchange is a fault', async (t) => {
  for (const reasonCode of [0x00, 0x19]) {
    const { open } = setting(t)
    const one = open()
    one.send(connectPacket('one', scram()))
    await one.receives('auth')
    one.send(auth(reasonCode, 'one'))
    assert.equal((await one.receives('connack')).reasonCode, 0x82)
    await one.ended()
  }
})

test('only AUTH and DISCONNECT may come before the CONNACK of an exchange [MQTT-3.1.2-30]', async (t) => {
  const { open } = setting(t)
  const one = open()
  one.send(connectPacket('one', scram()))
  await one.receives('auth')
  one.send(publishPacket('a', 'x', { qos: 1, packetId: 1 }))
  assert.equal((await one.receives('connack')).reasonCode, 0x82)
  await one.ended()
  const two = open()
  two.send(connectPacket('two', scram()))
  await two.receives('auth')
  two.send({ type: 'disconnect', reasonCode: 0, properties: undefined })
  await two.ended()
})

test('AUTH without an exchange is a fault of the Client', async (t) => {
  const { open, client } = start(t)
  const early = open()
  early.send(auth(0x18, 'x'))
  await early.receives('connack').catch(() => undefined)
  await early.closed
  const plain = await client('plain')
  plain.send(auth(0x19, 'x'))
  await plain.endedWith(0x82)
  const s = setting(t)
  const one = await connected(s)
  one.send(auth(0x18, 'nobody asked'))
  await one.endedWith(0x82)
})

test('AUTH of MQTT 3 ends the connection', async (t) => {
  const { client } = start(t)
  const one = await client('one', { level: 4 })
  one.write('f0 00')
  await one.ended()
})

test('the packets of an exchange may come in one segment', async (t) => {
  const { open } = setting(t)
  const one = open()
  one.send(connectPacket('one', scram()), auth(0x18, 'one'), auth(0x18, 'two'), { type: 'pingreq' })
  await one.receives('auth')
  await one.receives('auth')
  assert.equal((await one.receives('connack')).reasonCode, 0)
  await one.receives('pingresp')
})

test('a Client that disconnects in the middle of an exchange ends it, and this is no fault of the hook', async (t) => {
  const rejections = unhandled(t)
  const { open, broker, errors } = setting(t)
  for (const how of ['drop', 'disconnect'] as const) {
    const one = open()
    one.send(connectPacket('one', scram()))
    await one.receives('auth')
    if (how === 'drop') await one.drop()
    else {
      one.send({ type: 'disconnect', reasonCode: 0, properties: undefined })
      await one.ended()
    }
    await settle()
  }
  assert.deepEqual(errors, [])
  assert.deepEqual(rejections, [])
  assert.equal(broker.stats().sessions, 0)
  assert.equal(broker.stats().timers, 0)
})

test('a Client that does not go on with an exchange is refused when the time of the hook is over', async (t) => {
  const { open, clock, broker } = setting(t)
  const one = open()
  one.send(connectPacket('one', scram()))
  await one.receives('auth')
  clock.advance(10_000)
  assert.ok((await one.receives('connack')).reasonCode >= 0x80)
  await one.ended()
  await settle()
  assert.equal(broker.stats().timers, 0)
})

test('exchange() with a Client that asked for none fails in the hook, not in the broker', async (t) => {
  const asking = start(t, {
    plugins: [
      {
        name: 'a',
        authenticate: async (_request, _info, _signal, authentication) => {
          await authentication.exchange()
          return true
        },
      },
    ],
  })
  assert.equal((await asking.open().connect('one')).reasonCode, 0x80)
  assert.equal((await asking.open(4).connect('one')).reasonCode, 3)
  assert.equal(asking.errors.length, 2)
})

// ─── again ─────────────────────────────────────────────────────────────────────────────────────────────────────────

test('re-authentication in one step', async (t) => {
  const s = setting(t, (step) => ({ done: true, session: { again: step.data?.toString() }, data: Buffer.from('bye') }))
  const one = await connected(s)
  one.send(auth(0x19, 'fresh'))
  const answer = await one.receives('auth')
  assert.deepEqual([answer.reasonCode, answer.properties?.authenticationMethod, data(answer)], [0, 'SCRAM', 'bye'])
  assert.deepEqual(s.broker.clients.get('one')?.session, { again: 'fresh' })
})

test('re-authentication step by step: each AUTH of the Client is the next step', async (t) => {
  const steps: (string | undefined)[] = []
  const s = setting(t, (step) => {
    steps.push(step.data?.toString())
    return steps.length < 3 ? { done: false, data: Buffer.from(`step ${steps.length}`) } : { done: true }
  })
  const one = await connected(s)
  one.send(auth(0x19, 'a'))
  assert.equal(data(await one.receives('auth')), 'step 1')
  one.send(auth(0x18, 'b'))
  assert.equal(data(await one.receives('auth')), 'step 2')
  one.send(auth(0x18, 'c'))
  assert.equal((await one.receives('auth')).reasonCode, 0)
  assert.deepEqual(steps, ['a', 'b', 'c'])
  assert.deepEqual(s.broker.clients.get('one')?.session, { user: 'scram' }, 'no new session was given')
})

test('re-authentication by exchange(), while messages flow', async (t) => {
  const s = setting(t, async (step: AuthenticationExchange) => {
    const answer = await step.exchange(Buffer.from('who?'))
    step.conclude(Buffer.from('ok'))
    return { done: true, session: answer?.toString() } as const
  })
  const one = await connected(s)
  await one.subscribe('a')
  one.send(auth(0x19))
  assert.equal(data(await one.receives('auth')), 'who?')
  await one.publish('a', 'meanwhile')
  assert.equal(await one.message(), 'meanwhile')
  one.send(auth(0x18, 'me'))
  const last = await one.receives('auth')
  assert.deepEqual([last.reasonCode, data(last)], [0, 'ok'])
  assert.equal(s.broker.clients.get('one')?.session, 'me')
  // And once more.
  one.send(auth(0x19))
  await one.receives('auth')
})

for (const [name, answer, code, faults] of [
  ['false', () => false, 0x87, 0],
  ['undefined', () => undefined, 0x87, 0],
  ['MqttError banned', () => raise(new MqttError('not-authorized')), 0x87, 0],
  ['an Error', () => raise(new Error('broken')), 0x80, 1],
  ['"true"', () => 'true', 0x80, 1],
  ['true', () => true, 0x80, 1],
  ['1', () => 1, 0x80, 1],
  ['{}', () => ({}), 0x80, 1],
  ['null', () => null, 0x80, 1],
] as [string, () => unknown, number, number][]) {
  test(`a reauthenticate hook that returns ${name} ends the connection [MQTT-4.12.1-2]`, async (t) => {
    const rejections = unhandled(t)
    for (const way of [answer, async () => answer()]) {
      const s = setting(t, way as NonNullable<Plugin['reauthenticate']>)
      const one = await connected(s)
      one.send(auth(0x19, 'x'))
      await one.endedWith(code)
      assert.equal(s.errors.length, faults)
      assert.equal(s.broker.clients.size, 0)
    }
    assert.deepEqual(rejections, [])
  })
}

test('re-authentication without a hook for it is refused', async (t) => {
  const one = await connected(setting(t))
  one.send(auth(0x19, 'x'))
  const { reasonCode } = await one.receives('disconnect')
  assert.ok(reasonCode === 0x87 || reasonCode === 0x8c || reasonCode === 0x82)
  await one.ended()
})

test('re-authentication with another method ends the connection [MQTT-4.12.1-1]', async (t) => {
  const one = await connected(setting(t, () => ({ done: true })))
  one.send(auth(0x19, 'x', 'OTHER'))
  await one.endedWith(0x82)
})

test('a second re-authentication during the first is a fault', async (t) => {
  const s = setting(t, () => new Promise(() => undefined))
  const one = await connected(s)
  one.send(auth(0x19, 'x'))
  await settle()
  one.send(auth(0x19, 'y'))
  await one.endedWith(0x82)
})

test('a Client that leaves during its re-authentication aborts it without a fault', async (t) => {
  const rejections = unhandled(t)
  const aborted = deferred()
  const s = setting(t, async (step, _client, signal) => {
    signal.addEventListener('abort', () => aborted.resolve())
    await step.exchange(Buffer.from('?'))
    return { done: true }
  })
  const one = await connected(s)
  one.send(auth(0x19, 'x'))
  await one.receives('auth')
  await one.drop()
  await aborted.promise
  await settle()
  assert.deepEqual(s.errors, [])
  assert.deepEqual(rejections, [])
  assert.equal(s.broker.stats().timers, 0)
})

test('a re-authentication that never ends does when its time is over', async (t) => {
  const s = setting(t, () => new Promise(() => undefined))
  const one = await connected(s)
  one.send(auth(0x19, 'x'))
  await one.quiet()
  s.clock.advance(10_000)
  await one.endedWith(0x80)
  assert.equal(s.errors.length, 1)
})

function raise(error: unknown): never {
  throw error
}
