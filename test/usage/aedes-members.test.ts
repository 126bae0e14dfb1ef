import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { runInThisContext } from 'node:vm'
import { Broker } from '../../lib/broker.ts'
import { InvalidOptionError } from '../../lib/errors.ts'
import { start } from '../support/client.ts'

type Loose = Record<string, unknown>

/** Throws an `InvalidOptionError` that names the member and what to write instead. */
function refused(act: () => unknown, ...words: readonly string[]): void {
  assert.throws(act, (error: Error) => {
    assert.ok(error instanceof InvalidOptionError, String(error))
    for (const word of words) assert.ok(error.message.includes(word), `"${error.message}" does not say ${word}`)
    return true
  })
}

/** An assignment of a program that is not in strict mode. */
const assignLoosely = runInThisContext('(broker, name, value) => { broker[name] = value }') as (
  broker: Loose,
  name: string,
  value: unknown,
) => void
const letAllIn = (): boolean => true
const handlers = {
  preConnect: 'connect(info)',
  authenticate: 'plugins',
  authorizePublish: 'plugins',
  authorizeSubscribe: 'plugins',
  authorizeForward: 'authorizeDeliver',
  published: "broker.on('published'",
  authorizeDeliver: 'plugins',
  inspect: 'plugins',
  reauthenticate: 'plugins',
  setup: 'plugins',
}

for (const [name, instead] of Object.entries(handlers)) {
  test(`a handler assigned as broker.${name} is refused, however it is assigned`, () => {
    const broker = new Broker({ sysInterval: false }) as unknown as Loose
    refused(() => (broker[name] = letAllIn), `broker.${name}`, instead)
    refused(() => Object.assign(broker, { [name]: letAllIn }), instead)
    refused(() => Reflect.set(broker, name, letAllIn), instead)
    refused(() => Object.assign(Object.create(broker) as Loose, { [name]: letAllIn }), instead)
    refused(() => Object.assign(Object.freeze(new Broker({ sysInterval: false })), { [name]: letAllIn }), instead)
    // As a program that is not in strict mode does.
    refused(() => assignLoosely(broker, name, letAllIn), instead)
    assert.throws(() => Object.defineProperty(broker, name, { value: letAllIn }), TypeError)
    refused(() => broker[name], instead)
  })

  test(`a subclass with ${name} as a method, a field or an assignment is refused`, () => {
    class Assigns extends Broker {
      constructor() {
        super({ sysInterval: false })
        ;(this as unknown as Loose)[name] = letAllIn
      }
    }
    class Method extends Broker {}
    Object.defineProperty(Method.prototype, name, { value: letAllIn })
    class Below extends Method {}
    const Field = runInThisContext(`(Broker) => class extends Broker { ${name} = () => true }`)(Broker) as typeof Broker
    for (const Each of [Assigns, Method, Below, Field]) {
      refused(() => new Each({ sysInterval: false }), `broker.${name}`, instead)
    }
  })
}

test('a subclass with members of its own is a broker', async (t) => {
  class Own extends Broker {
    readonly started = 'today'
    closed = false
    #secret = 1
    constructor() {
      super({ sysInterval: false })
      ;(this as unknown as Loose).opts = { a: 1 }
    }
    get secret(): number {
      return this.#secret
    }
  }
  const broker = new Own()
  t.after(() => broker.close())
  assert.deepEqual([broker.started, broker.closed, broker.secret], ['today', false, 1])
  assert.deepEqual((broker as unknown as Loose).opts, { a: 1 })
  const got: string[] = []
  broker.on('published', ({ topic }) => got.push(topic))
  broker.subscribe('a', ({ topic }) => void got.push(topic))
  await broker.publish({ topic: 'a' })
  const [listener] = await broker.listen({ tcp: 0 })
  await listener?.close()
  assert.ok(broker instanceof Own && broker instanceof Broker)
  assert.deepEqual(got.toSorted(), ['a', 'a'])
})

for (const [name, instead] of Object.entries({
  persistence: 'new Broker({ persistence })',
  mq: 'emitter',
  connectedClients: 'broker.clients.size',
  closed: 'broker.close()',
  unsubscribe: 'subscription.close()',
  opts: 'options',
  brokers: 'peers',
})) {
  test(`broker.${name} of aedes throws when it is read`, () => {
    const broker = new Broker({ sysInterval: false }) as unknown as Loose
    refused(() => broker[name], `broker.${name}`, instead, 'moving-from-aedes')
  })
}

test('what would have no effect cannot be assigned: persistence, mq, id, emitter, clients', () => {
  const broker = new Broker({ sysInterval: false }) as unknown as Loose
  for (const name of ['persistence', 'mq', 'id', 'emitter', 'clients', 'openListeners']) {
    refused(() => assignLoosely(broker, name, {}), `broker.${name}`)
  }
})

test('options of aedes are refused with what to write instead', () => {
  const make = (options: object) => () => new Broker(options)
  for (const name of ['authenticate', 'authorizePublish', 'authorizeSubscribe', 'preConnect', 'authorizeForward']) {
    refused(make({ [name]: letAllIn }), `${name}: no such option`, 'plugins')
  }
  refused(make({ mq: {} }), 'emitter')
  refused(make({ heartbeatInterval: 1 }), 'sysInterval')
  refused(make({ keepaliveLimit: 1 }), 'limits.maxKeepAlive')
  refused(make({ maxClientsIdLength: 40 }), 'allowLongClientIdentifiers')
  refused(make({ listen: { tcp: 0 } }), 'createBroker')
})

test('clients is a map, and the object that programs for aedes expect; neither can be changed', async (t) => {
  const { broker, client } = start(t)
  const clients = broker.clients as unknown as Loose
  const { clients: before } = broker
  assert.deepEqual([clients.one, Object.keys(clients)], [undefined, []])
  await client('one')
  await client('lamp')
  const one = broker.clients.get('one')
  assert.equal(one?.id, 'one')
  assert.equal(clients.one, one)
  assert.ok('one' in clients && !('two' in clients))
  assert.deepEqual(Object.keys(clients), ['one', 'lamp'])
  assert.deepEqual(Object.values(clients), [one, broker.clients.get('lamp')])
  assert.equal(broker.clients.size, 2)
  assert.equal(before.size, 2, 'a live view')
  assert.deepEqual([...broker.clients.keys()], ['one', 'lamp'])
  assert.deepEqual([...new Map(broker.clients).values()], [...broker.clients.values()])
  const seen: string[] = []
  broker.clients.forEach((each) => seen.push(each.id))
  for (const [id] of broker.clients) seen.push(id)
  assert.deepEqual(seen, ['one', 'lamp', 'one', 'lamp'])
  assert.ok(broker.clients instanceof Map)
  assert.match(inspect(broker.clients), /^Map\(2\)/)
  assert.equal(await Promise.resolve(broker.clients), broker.clients)
  for (const change of [
    () => (clients.three = {}),
    () => delete clients.one,
    () => (broker.clients as Map<string, unknown>).set('three', {}),
    () => (broker.clients as Map<string, unknown>).delete('one'),
    () => (broker.clients as Map<string, unknown>).clear(),
  ]) {
    refused(change, 'broker.clients', 'client.disconnect()')
  }
  assert.equal(broker.clients.size, 2)
})

test('members of a Client of aedes throw when they are read, and a program may set its own', async (t) => {
  const { broker, client } = start(t)
  await client('one')
  const one = broker.clients.get('one') as unknown as Loose
  for (const [name, instead] of Object.entries({
    conn: 'client.connection',
    req: 'client.connection.request',
    close: 'client.disconnect',
    clean: 'client.connect.cleanStart',
    version: 'client.connect.protocolVersion',
    will: 'client.connect.will',
    broker: 'setup',
  })) {
    refused(() => one[name], `client.${name}`, instead)
  }
  one.closed = 'mine'
  one.user = 'me'
  assert.deepEqual([one.closed, one.user], ['mine', 'me'])
  assert.doesNotThrow(() => inspect(one))
})
