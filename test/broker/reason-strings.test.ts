import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MqttError } from '../../lib/errors.ts'
import type { Setting, TestClient } from '../support/client.ts'
import { closing, start, will } from '../support/client.ts'

const ends: Record<string, [text: string, end: (one: TestClient, setting: Setting) => unknown]> = {
  'broker.close': ['the server is shutting down', (_one, { broker, clock }) => closing(broker.close(), clock)],
  'broker.close with a reason': [
    'server moved',
    (_one, { broker, clock }) => closing(broker.close({ reason: 'server-moved' }), clock),
  ],
  'client.disconnect': [
    'an administrator ended the connection',
    (_one, { broker }) => broker.clients.get('one')?.disconnect(),
  ],
  'client.disconnect with an empty text': [
    'quota exceeded',
    (_one, { broker }) => broker.clients.get('one')?.disconnect('quota-exceeded', { reasonString: '' }),
  ],
  'a take-over': ['another connection took over the session', (_one, { client }) => client('one')],
  'the end of its Keep Alive': [
    'no packet within one and a half times the Keep Alive',
    (_one, { clock }) => clock.advance(15_001),
  ],
}
const own: Record<string, [text: string, end: (one: TestClient, setting: Setting) => unknown]> = {
  'client.disconnect with a text': [
    'see you',
    (_one, { broker }) => broker.clients.get('one')?.disconnect('banned', { reasonString: 'see you' }),
  ],
}

for (const [name, [text, end]] of Object.entries({ ...ends, ...own })) {
  test(`a DISCONNECT has a Reason String: ${name}`, async (t) => {
    const setting = start(t)
    const one = await setting.client('one', { keepAlive: 10 })
    const ended = end(one, setting)
    assert.equal((await one.receives('disconnect')).properties?.reasonString, text)
    await one.ended()
    await ended
  })

  test(`a Client with Request Problem Information 0 reads only a text of the application: ${name}`, async (t) => {
    const setting = start(t)
    const properties = { requestProblemInformation: 0 } as const
    const one = await setting.client('one', { keepAlive: 10, properties })
    const ended = end(one, setting)
    const { properties: received } = await one.receives('disconnect')
    assert.equal(received?.reasonString, name in own ? text : undefined)
    await ended
  })
}

test('a violation of the protocol and an error of a hook are told to the Client', async (t) => {
  const { client } = start(t, {
    plugins: [
      {
        name: 'a',
        reauthenticate: () => {
          throw new MqttError('not-authorized')
        },
        authenticate: () => true,
      },
    ],
  })
  const one = await client('one')
  one.send({ type: 'pubrel', packetId: 1, reasonCode: 0, properties: undefined })
  await one.receives('pubcomp')
  one.send({ type: 'auth', reasonCode: 0x19, properties: { authenticationMethod: 'x' } })
  const { properties, reasonCode } = await one.receives('disconnect')
  assert.ok(reasonCode >= 0x80)
  assert.ok((properties?.reasonString ?? '').length > 0)
})

test('a DISCONNECT with a text that the Client has no room for goes without it [MQTT-3.14.2-3]', async (t) => {
  const { broker, client, clock } = start(t)
  const one = await client('one', { properties: { maximumPacketSize: 20 } })
  const closed = closing(broker.close(), clock)
  const { reasonCode, properties } = await one.receives('disconnect')
  assert.deepEqual([reasonCode, properties?.reasonString], [0x8b, undefined])
  await closed
})

test('published says which message is a Will: at once, delayed, and with a hook that waits', async (t) => {
  const { broker, client, clock } = start(t, {
    plugins: [{ name: 'a', authorizePublish: async () => Promise.resolve(true), authenticate: () => true }],
  })
  const published: unknown[] = []
  broker.on('published', ({ topic }, from, isWill) => published.push([topic, from?.id, isWill]))
  const one = await client('one', { will: will('w', 'x') })
  await one.publish('t', 'x', { qos: 1 })
  await one.drop()
  const two = await client('two', {
    will: will('w/2', 'x', { properties: { willDelayInterval: 5 } }),
    properties: { sessionExpiryInterval: 100 },
  })
  await two.drop()
  await broker.publish({ topic: 'a' })
  clock.advance(5_001)
  await (await client('three')).quiet()
  assert.deepEqual(published, [
    ['t', 'one', false],
    ['w', 'one', true],
    ['a', undefined, false],
    ['w/2', 'two', true],
  ])
})
