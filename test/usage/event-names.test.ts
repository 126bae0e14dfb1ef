import assert from 'node:assert/strict'
import { on, once } from 'node:events'
import { test } from 'node:test'
import { runInThisContext } from 'node:vm'
import { InvalidOptionError } from '../../lib/errors.ts'
import { start } from '../support/client.ts'

type Add = (name: string | symbol, listener: (...values: unknown[]) => void) => unknown
const ways = ['on', 'addListener', 'once', 'prependListener', 'prependOnceListener'] as const

for (const [name, instead] of Object.entries({
  client: 'clientConnected',
  clientReady: 'clientConnected',
  clientDisconnect: 'clientDisconnected',
  publish: 'published',
  subscribe: 'subscribed',
  unsubscribe: 'unsubscribed',
  connectionError: 'connectionRefused',
  keepaliveTimeout: '0x8d',
  ack: 'there is none',
  closed: 'broker.close()',
  clientConected: 'clientConnected',
  toString: 'clientConnected',
  '': 'clientConnected',
})) {
  test(`a listener of '${name}', which is no event, is refused in every way of adding it`, async (t) => {
    const { broker } = start(t)
    const says = ({ message }: Error): boolean => message.includes(`event ${name}:`) && message.includes(instead)
    for (const way of ways) {
      const add = (broker[way] as unknown as Add).bind(broker)
      assert.throws(() => add(name, () => undefined), InvalidOptionError, way)
      assert.throws(() => add(name, () => undefined), says, way)
    }
    await assert.rejects(once(broker, name), says)
    assert.throws(() => on(broker, name), says)
    assert.equal(broker.listenerCount(name), 0)
  })
}

test('a listener can be added in every way, for an event of the broker, of each emitter and for a symbol', async (t) => {
  const { broker, client } = start(t)
  const got: string[] = []
  for (const way of ways) {
    const add = (broker[way] as unknown as Add).bind(broker)
    assert.equal(
      add('clientConnected', () => got.push(way)),
      broker,
    )
    for (const name of ['newListener', 'removeListener', Symbol('own')]) add(name, () => undefined)
  }
  const connected = once(broker, 'clientConnected')
  await client('one')
  assert.equal((await connected)[0].id, 'one')
  await client('two')
  const inOrder = ['prependOnceListener', 'prependListener', 'on', 'addListener', 'once']
  assert.deepEqual(got, [...inOrder, 'prependListener', 'on', 'addListener'])
})

test('a listener of clientError that takes the Client first, as with aedes, is refused', (t) => {
  const { broker } = start(t)
  const add = broker.on.bind(broker) as unknown as (name: string, listener: unknown) => void
  for (const listener of [
    (client: unknown, error: unknown) => [client, error],
    async (client: unknown) => client,
    function (client: unknown) {
      return client
    },
    { onError: (_client: unknown) => undefined }.onError,
    {
      onError(client: unknown, error: unknown) {
        return [client, error]
      },
    }.onError,
    runInThisContext('client => client'),
  ]) {
    assert.throws(() => add('clientError', listener), /\(error, info, client\)/)
    assert.throws(() => broker.once('clientError', listener as never), /\(error, info, client\)/)
  }
  for (const listener of [
    (error: unknown, info: unknown, client: unknown) => [error, info, client],
    (error: Error) => ((client: unknown) => client)(error),
    (clientError: unknown) => clientError,
    (...values: unknown[]) => values,
    console.log,
    () => undefined,
  ]) {
    assert.doesNotThrow(() => add('clientError', listener))
  }
})
