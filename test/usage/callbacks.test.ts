import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { createBroker } from '../../lib/create-broker.ts'
import { InvalidOptionError } from '../../lib/errors.ts'
import type { Message } from '../../types/message.ts'
import { settle, start, unhandled } from '../support/client.ts'

type Loose = (...values: unknown[]) => unknown

test('a callback is refused at once by each method, and nothing is done', async (t) => {
  const { broker, client, errors } = start(t)
  const rejections = unhandled(t)
  const one = await client('one')
  await one.subscribe('#')
  const done = (): void => assert.fail('never called')
  const server = createServer()
  const [listener] = await broker.listen({ tcp: 0 })
  const subscription = broker.subscribe('x')
  const session = await broker.session('one')
  const calls: [object | undefined, string, unknown[]][] = [
    [broker, 'publish', [{ topic: 'a' }, done]],
    [broker, 'publish', [{ topic: 'a' }, {}, done]],
    [broker, 'publish', [done]],
    [broker, 'close', [done]],
    [broker, 'close', [{}, done]],
    [broker, 'listen', [{ tcp: 0 }, done]],
    [broker, 'listen', [{ tcp: 0 }, {}, done]],
    [broker, 'listen', [done]],
    [broker, 'attach', [server, done]],
    [broker, 'subscribe', ['a', () => undefined, done]],
    [broker, 'subscribe', ['a', () => undefined, {}, done]],
    [broker, 'subscribe', ['a', (_message: Message, callback: () => void) => callback()]],
    [broker, 'unsubscribe', ['a', () => undefined, done]],
    [broker, 'session', ['one', done]],
    [broker, 'deleteSession', ['one', done]],
    [broker, 'clearRetained', ['#', done]],
    [session, 'publish', [{ topic: 'a' }, done]],
    [session, 'subscribe', ['a', done]],
    [session, 'unsubscribe', ['#', done]],
    [session, 'delete', [done]],
    [listener, 'close', [done]],
    [listener, 'stopAccepting', [done]],
    [subscription, 'close', [done]],
    [broker.clients.get('one'), 'publish', [{ topic: 'a' }, done]],
    [broker.clients.get('one'), 'subscribe', ['a', done]],
    [broker.clients.get('one'), 'unsubscribe', ['#', done]],
    [broker.clients.get('one'), 'disconnect', [done]],
    [broker.clients.get('one'), 'disconnect', ['banned', {}, done]],
    [{ createBroker }, 'createBroker', [{}, done]],
  ]
  for (const [target, name, values] of calls) {
    const call = (): unknown => Reflect.apply((target as Record<string, Loose>)[name] as Loose, target, values)
    assert.throws(call, InvalidOptionError, name)
  }
  await settle()
  await one.quiet()
  assert.equal(broker.stats().subscriptions, 2)
  assert.deepEqual([broker.openListeners.length, errors, rejections], [1, [], []])
})

test('promisified methods and promises around a callback reject and do not wait for ever', async (t) => {
  const { broker } = start(t)
  const { publish, close, listen } = broker as unknown as Record<string, (...values: unknown[]) => void>
  for (const [method, values] of [
    [publish, [{ topic: 'a' }]],
    [close, []],
    [listen, [{ tcp: 0 }]],
  ] as const) {
    await assert.rejects(promisify(method?.bind(broker) as never)(...(values as [])), InvalidOptionError)
    await assert.rejects(new Promise((done) => method?.call(broker, ...values, done)), InvalidOptionError)
  }
})
