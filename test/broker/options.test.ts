import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { test } from 'node:test'
import { Broker } from '../../lib/broker.ts'
import { InvalidOptionError } from '../../lib/errors.ts'
import { log } from '../../lib/storage/log/log-persistence.ts'
import { defaultLimits } from './limits.ts'
import { start } from '../support/client.ts'

/** The message says which option, what was expected and what came. */
function refused(options: unknown, option: string, got?: string): void {
  assert.throws(
    () => new Broker(options as never),
    (error: Error) => {
      assert.ok(error instanceof InvalidOptionError, `${option}: ${String(error)}`)
      assert.ok(error.message.startsWith(option), `"${error.message}" does not begin with ${option}`)
      assert.match(error.message, /expected|no such/)
      if (got !== undefined) assert.ok(error.message.includes(got), `"${error.message}" does not say ${got}`)
      assert.equal(error.code, 'ERR_MQTT_INVALID_OPTION')
      return true
    },
  )
}

test('every wrong option is refused with its name, what was expected and what came', () => {
  for (const options of [null, 5, 'x', []]) refused(options, 'options')
  const wrong: Record<string, unknown[]> = {
    id: ['', 5, null, {}],
    plugins: ['x', {}, null],
    limits: ['x', 5, null, []],
    allowAnonymous: ['yes', 1, null],
    sessionOwner: ['me', true, null],
    allowControlCharacters: ['yes', 0, null],
    allowLongClientIdentifiers: ['yes', 0, null],
    maximumQoS: [3, -1, '1', true, null],
    retainAvailable: ['yes', 0, null],
    wildcardSubscriptionAvailable: [1, 'no', null],
    subscriptionIdentifiersAvailable: [1, 'no', null],
    sharedSubscriptionAvailable: [1, 'no', null],
    copyPerSubscription: ['yes', 1, null, {}],
    responseInformation: [5, {}, null],
    sysInterval: [0, -1, '10', true, NaN, null],
    emitter: [{}, 5, null, { on() {}, emit() {} }],
    logger: [{}, 5, null, { debug() {} }],
    signal: [{}, 5, null, true],
    clock: [{}, 5, null, { now: () => 0 }],
  }
  for (const [option, values] of Object.entries(wrong)) for (const value of values) refused({ [option]: value }, option)
  refused({ allowAnonymous: 'yes' }, 'allowAnonymous', '"yes"')
})

test('every limit is refused when it is no number in its range', () => {
  for (const name of Object.keys(defaultLimits)) {
    for (const value of ['5', null, NaN, -1, -Infinity, {}, true, []])
      refused({ limits: { [name]: value } }, `limits.${name}`)
  }
  for (const [name, values] of Object.entries({
    receiveMaximum: [0, 65_536, 1.5],
    maxInflight: [0, 65_536, 1.5],
    topicAliasMaximum: [65_536, 0.5],
    maxOutboundTopicAliases: [65_536, 0.5],
    maxPacketSize: [10, 268_435_461, 1000.5],
    maxKeepAlive: [65_536, 0.5],
    maxSessionExpiry: [2 ** 32, 0.5],
    connectTimeoutMs: [0],
    hookTimeoutMs: [0],
    maxTopicLevels: [0],
    messagesPerSecond: [0],
  })) {
    for (const value of values) refused({ limits: { [name]: value } }, `limits.${name}`, String(value))
  }
})

test('limits that have no end may be Infinity', () => {
  const endless = [
    'maxConnections',
    'maxConnectionsPerIp',
    'maxQueuedMessages',
    'maxQueuedBytes',
    'maxTotalQueuedBytes',
    'maxOutboundBytes',
    'maxSessions',
    'maxSubscriptionsPerClient',
    'maxRetained',
    'maxRetainedBytes',
    'messagesPerSecond',
    'hookTimeoutMs',
    'drainTimeoutMs',
    'connectTimeoutMs',
    'maxUserProperties',
  ]
  const limits = Object.fromEntries(endless.map((name) => [name, Infinity]))
  assert.doesNotThrow(() => new Broker({ sysInterval: false, limits }))
})

test('an option or limit that there is not is refused by name', () => {
  refused({ limit: {} }, 'limit', 'no such')
  refused({ limits: { maxPacket: 5 } }, 'limits.maxPacket', 'no such')
  refused({ toString: 1 }, 'toString')
  refused({ plugins: [{ name: 'a', Authenticate: () => true }] }, 'plugins[0].Authenticate', 'no such')
  refused({ plugins: [{ name: 'a' }, { name: 'b', authorise: () => true }] }, 'plugins[1].authorise')
  refused({ plugins: [{ name: 'a', authenticate: 'yes' }] }, 'plugins[0].authenticate', 'function')
  refused({ plugins: [null] }, 'plugins[0]')
  refused({ plugins: [{}] }, 'plugins[0].name')
  refused(JSON.parse('{"__proto__": {"allowAnonymous": true}, "constructor": 1}'), '')
})

test('a plugin may be of a class, with its hooks as methods', () => {
  class Plugin {
    name = 'good'
    authenticate(): boolean {
      return this.helper()
    }
    helper(): boolean {
      return false
    }
  }
  assert.doesNotThrow(() => new Broker({ sysInterval: false, plugins: [new Plugin()] }))
})

test('options that are undefined are as if they were not there', async (t) => {
  const { client } = start(t, {
    id: undefined,
    plugins: undefined,
    limits: undefined,
    emitter: undefined,
    signal: undefined,
    logger: undefined,
  } as never)
  await client('one')
})

test('a limit that is undefined has its default', async (t) => {
  const { client } = start(t, { limits: { maxPacketSize: undefined, receiveMaximum: undefined } as never })
  const one = await client('one')
  await one.publish('t', 'x', { qos: 2 })
})

test('the defaults are those that types/options.ts names', () => {
  const source = readFileSync(new URL('../../../types/options.ts', import.meta.url), 'utf8')
  for (const name of Object.keys(defaultLimits)) assert.match(source, new RegExp(`${name}: number`))
})

test('a broker does not listen beyond loopback without authenticate, unless an option permits it', async (t) => {
  const { broker } = start(t)
  for (const host of ['0.0.0.0', '::', '192.168.1.1', 'example.org', '127.example.org', '']) {
    for (const what of ['tcp', 'ws'] as const) {
      await assert.rejects(broker.listen({ [what]: { port: 0, host } }), InvalidOptionError, `${what} ${host}`)
    }
  }
  await assert.rejects(broker.listen({ tcp: 0, ws: { port: 0, host: '0.0.0.0' } }), InvalidOptionError)
  const [listener] = await broker.listen({ tcp: { port: 0, host: '127.0.0.1' } })
  assert.match(listener?.url ?? '', /^mqtt:\/\/127\.0\.0\.1:\d+$/)
  const [local] = await broker.listen({ tcp: { port: 0, host: 'localhost' } })
  assert.ok(local !== undefined)
  const anonymous = start(t, { allowAnonymous: true })
  assert.equal((await anonymous.broker.listen({ tcp: { port: 0, host: '0.0.0.0' } })).length, 1)
  const guarded = start(t, { plugins: [{ name: 'a', authenticate: () => false }] })
  assert.equal((await guarded.broker.listen({ tcp: { port: 0, host: '0.0.0.0' } })).length, 1)
})

test('listen with something unknown is refused and opens nothing', async (t) => {
  const { broker } = start(t)
  await assert.rejects(broker.listen({ tcp: 0, quic: 0 } as never), InvalidOptionError)
  await assert.rejects(broker.listen({ tcp: { prot: 0 } } as never))
  await assert.rejects(broker.listen({ tcp: 70_000 }))
  await assert.rejects(broker.listen({ tcp: '1883' } as never))
})

test('an aborted signal closes the broker, before or later', async (t) => {
  const early = start(t, { signal: AbortSignal.abort() })
  await early.open().ended()
  await assert.rejects(early.broker.listen({ tcp: 0 }))
  const abort = new AbortController()
  const { client, broker } = start(t, { signal: abort.signal })
  const one = await client('one')
  abort.abort()
  await one.endedWith(0x8b)
  await broker.close()
})

test('the signal of listen closes these listeners alone, and one that is aborted opens none', async (t) => {
  const { broker } = start(t)
  const abort = new AbortController()
  const [one] = await broker.listen({ tcp: 0 }, { signal: abort.signal })
  const [two] = await broker.listen({ tcp: 0 })
  abort.abort()
  await one?.close()
  const socket = connect(Number(new URL(two?.url ?? '').port))
  await once(socket, 'connect')
  socket.destroy()
  await assert.rejects(broker.listen({ tcp: 0 }, { signal: AbortSignal.abort() }))
})

test('responseInformation is sent to Clients that request it', async (t) => {
  const { resume } = start(t, { responseInformation: (id) => (id === 'none' ? undefined : `answers/${id}`) })
  const asks = { properties: { requestResponseInformation: 1 as const } }
  assert.equal((await resume('one', asks)).connack.properties?.responseInformation, 'answers/one')
  assert.equal((await resume('none', asks)).connack.properties?.responseInformation, undefined)
  assert.equal((await resume('two')).connack.properties?.responseInformation, undefined)
})

test('if responseInformation throws or returns no string, the Client is connected without it', async (t) => {
  const asks = { properties: { requestResponseInformation: 1 as const } }
  for (const answer of [() => assert.fail('broken'), () => 5 as never]) {
    const { resume } = start(t, { responseInformation: answer })
    assert.equal((await resume('one', asks)).connack.properties?.responseInformation, undefined)
  }
})

test('control characters are refused unless they are allowed (section 1.5.4)', async (t) => {
  const strict = start(t)
  const one = strict.open()
  one.write(
    Buffer.concat([
      Buffer.from('101100044d5154540502000000', 'hex'),
      Buffer.from('0004', 'hex'),
      Buffer.from('a\u0007bc'),
    ]),
  )
  await one.receives('connack').catch(() => undefined)
  await one.closed
  assert.equal(strict.broker.stats().sessions, 0)
  const lax = start(t, { allowControlCharacters: true })
  const two = lax.open()
  two.write(
    Buffer.concat([
      Buffer.from('101100044d5154540502000000', 'hex'),
      Buffer.from('0004', 'hex'),
      Buffer.from('a\u0007bc'),
    ]),
  )
  assert.equal((await two.receives('connack')).reasonCode, 0)
  assert.ok(lax.broker.clients.has('a\u0007bc'))
})

test('options of the log that there are not, or that have a wrong value, are refused', () => {
  for (const [options, option] of [
    [undefined, 'log:'],
    ['data', 'log:'],
    [{ dir: 'data', durabilty: 'none' }, 'log.durabilty:'],
    [{ path: 'data' }, 'log.path:'],
    [{ dir: 'data', repair: 'no' }, 'log.repair:'],
    [{ dir: 5 }, 'dir:'],
    [{ dir: 'data', durability: 'sync' }, 'durability:'],
    [{ dir: 'data', segmentBytes: 5 }, 'segmentBytes:'],
  ] as [never, string][]) {
    assert.throws(
      () => log(options),
      (error: Error) => error instanceof InvalidOptionError && error.message.startsWith(option),
    )
  }
})
