import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Broker, createBroker, type Plugin } from '../../lib/index.ts'

// The compiler is the test: it reports each line that must not compile and does.

interface User {
  readonly name: string
}
const users = new Map<string, User>()

const rules: Plugin<User> = {
  name: 'rules',
  // A database returns null for an unknown user.
  authenticate: ({ username }): User | null => users.get(username ?? '') ?? null,
  authorizePublish: ({ topic }, client) => topic.startsWith(client.session.name),
}
const quota: Plugin = {
  name: 'quota',
  setup: (broker) => void broker.clients.size,
  authorizePublish: ({ payload }) => (payload.length > 1000 ? false : undefined),
}
// oxlint-disable-next-line typescript/no-unnecessary-type-arguments -- as a program may write it
const unknown: Plugin<unknown> = { name: 'unknown', connect: () => undefined }

test('a plugin that asks nothing of the session fits a broker of every type', async () => {
  const options = { sysInterval: false, plugins: [rules, quota, unknown] } as const
  const broker = new Broker<User>(options).use(quota).use(unknown).use(rules)
  broker.on('clientConnected', (client) => client.session.name.length)
  const other = await createBroker<User>(options)
  const inline = new Broker<User>({
    sysInterval: false,
    plugins: [
      quota,
      {
        name: 'inline',
        authenticate: async () => null,
        authorizeSubscribe: (_subscription, client) => client.session.name === 'a',
      },
    ],
  })
  const inferred = new Broker({ sysInterval: false, plugins: [rules] })
  inferred.on('clientConnected', (client) => client.session.name.length)
  for (const each of [broker, other, inline, inferred]) await each.close()
})

test('what a plugin of another type returns does not compile', () => {
  const wrong: Plugin<{ readonly admin: boolean }> = { name: 'wrong', authenticate: () => ({ admin: true }) }
  // @ts-expect-error -- the session has another type
  assert.ok(new Broker<User>({ sysInterval: false, plugins: [wrong] }))
  // @ts-expect-error -- the session has another type
  const number: Plugin<User> = { name: 'number', authenticate: () => 5 }
  assert.equal(number.name, 'number')
})

test('events that there are not, callbacks and members of aedes do not compile', () => {
  const broker = new Broker<User>({ sysInterval: false })
  const listener = (): void => undefined
  for (const act of [
    // @ts-expect-error -- misspelt
    () => broker.on('clientConected', listener),
    // @ts-expect-error -- of aedes
    () => broker.on('client', listener),
    // @ts-expect-error -- of aedes
    () => broker.once('publish', listener),
    // @ts-expect-error -- of aedes
    () => broker.addListener('clientDisconnect', listener),
    // @ts-expect-error -- of aedes
    () => broker.prependListener('closed', listener),
    // @ts-expect-error -- of aedes
    () => broker.prependOnceListener('ping', listener),
    // @ts-expect-error -- a callback
    () => broker.publish({ topic: 'a' }, listener),
    // @ts-expect-error -- a callback
    () => broker.close(listener),
    // @ts-expect-error -- a callback
    () => broker.subscribe('a', listener, listener),
    // @ts-expect-error -- a callback
    () => broker.subscribe('a', (_message: object, callback: () => void) => callback()),
    // @ts-expect-error -- no object
    () => broker.attach(listener),
    // @ts-expect-error -- a handler of aedes
    () => (broker.authenticate = listener),
    // @ts-expect-error -- no such field
    () => new Broker({ authenticate: listener }),
  ]) {
    assert.throws(act)
  }
  // @ts-expect-error -- not an object
  assert.rejects(broker.listen(1883)).catch(assert.fail)
  // @ts-expect-error -- a string
  assert.rejects(broker.listen({ tcp: '1883' })).catch(assert.fail)
  // @ts-expect-error -- no such field
  assert.rejects(broker.publish({ topic: 'a', retained: true })).catch(assert.fail)
  broker.on('published', ({ topic }, client) => [topic.length, client?.session.name])
  // @ts-expect-error -- a message and not a string
  broker.on('published', (message: string) => message)
})
