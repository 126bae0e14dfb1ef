import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runInNewContext } from 'node:vm'
import { InvalidOptionError } from '../../lib/errors.ts'
import type { Message, MessageInit } from '../../types/message.ts'
import { connectPacket, start, will } from '../support/client.ts'

const text = 'hello'
const bytes = [...Buffer.from(text)]

function shared(): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(5)
  new Uint8Array(memory).set(bytes)
  return memory
}

const ofAnotherRealm = (code: string): unknown => runInNewContext(code, { bytes })

const kinds: Record<string, () => unknown> = {
  Buffer: () => Buffer.from(text),
  Uint8Array: () => new Uint8Array(bytes),
  'a part of a Uint8Array': () => new Uint8Array([0, ...bytes, 0]).subarray(1, 6),
  Uint8ClampedArray: () => new Uint8ClampedArray(bytes),
  Int8Array: () => new Int8Array(bytes),
  DataView: () => new DataView(new Uint8Array([0, ...bytes]).buffer, 1),
  ArrayBuffer: () => new Uint8Array(bytes).buffer,
  SharedArrayBuffer: shared,
  'a Buffer over shared memory': () => Buffer.from(shared()),
  'Uint8Array of another realm': () => ofAnotherRealm('new Uint8Array(bytes)'),
  'DataView of another realm': () => ofAnotherRealm('new DataView(new Uint8Array(bytes).buffer)'),
  'ArrayBuffer of another realm': () => ofAnotherRealm('new Uint8Array(bytes).buffer'),
}

for (const [kind, make] of Object.entries(kinds)) {
  test(`${kind} is sent as its bytes, as payload and Correlation Data, by the application and by hooks`, async (t) => {
    const given = (): Pick<Message, 'payload' | 'properties'> => ({
      payload: make() as Buffer,
      properties: { correlationData: make() as Buffer },
    })
    const seen: Buffer[] = []
    const { broker, client } = start(t, {
      plugins: [
        {
          name: 'bytes',
          authorizePublish: (message) => ({ ...message, ...given() }),
          authorizeDeliver: (message) => (message.topic === 'delivered' ? { ...message, ...given() } : true),
          inspect: ({ payload }) => void seen.push(payload),
        },
      ],
    })
    const one = await client('one')
    await one.subscribe('#')
    const isRight = ({ payload, properties }: Partial<Message>): void => {
      assert.deepEqual(payload, Buffer.from(text))
      assert.deepEqual(properties?.correlationData, Buffer.from(text))
    }
    const local: Message[] = []
    broker.subscribe('all', (message) => void local.push(message))
    await broker.publish({ topic: 'all', ...given(), retain: true })
    isRight(await one.receives('publish'))
    isRight(local[0] as Message)
    await broker.clients.get('one')?.publish({ topic: 'one', ...given() })
    isRight(await one.receives('publish'))
    await broker.publish({ topic: 'delivered' })
    isRight(await one.receives('publish'))
    await one.publish('hook', 'x')
    isRight(await one.receives('publish'))
    assert.deepEqual(seen, [Buffer.from(text)])
  })
}

test('16-bit numbers are sent as the bytes of their memory', async (t) => {
  const { broker } = start(t)
  const payloads: Buffer[] = []
  broker.subscribe('a', ({ payload }) => void payloads.push(payload))
  await broker.publish({ topic: 'a', payload: new Uint16Array(Uint8Array.from([1, 2, 3, 4]).buffer, 2) })
  assert.deepEqual(payloads, [Buffer.from([3, 4])])
})

test('a message from shared memory does not change with it', async (t) => {
  const { broker } = start(t)
  const memory = shared()
  for (const payload of [memory, Buffer.from(memory), new DataView(memory)]) {
    await broker.publish({ topic: 'a', payload, retain: true })
    new Uint8Array(memory).fill(0)
    for await (const { payload: kept } of broker.retained('a')) assert.equal(kept.toString(), text)
    new Uint8Array(memory).set(bytes)
  }
})

function transferred<T extends { buffer: ArrayBufferLike }>(view: T): T {
  structuredClone(view.buffer, { transfer: [view.buffer as ArrayBuffer] })
  return view
}

const refused: Record<string, () => unknown> = {
  Map: () => new Map([['a', 1]]),
  Set: () => new Set([1]),
  Promise: () => Promise.resolve(Buffer.from(text)),
  Blob: () => new Blob([text]),
  RegExp: () => /a/,
  Error: () => new Error('a'),
  'Map of another realm': () => ofAnotherRealm('new Map()'),
  function: () => () => text,
  symbol: () => Symbol(text),
  bigint: () => 1n,
  'an object that refers to itself': () => {
    const circle: { self?: object } = {}
    circle.self = circle
    return circle
  },
  'ArrayBuffer that was transferred': () => transferred({ buffer: new Uint8Array(bytes).buffer }).buffer,
  'Uint8Array that was transferred': () => transferred(new Uint8Array(bytes)),
  'Buffer that was transferred': () => transferred(Buffer.from(new Uint8Array(bytes).buffer)),
  'DataView that was transferred': () => transferred(new DataView(new ArrayBuffer(5))),
}

for (const [kind, make] of Object.entries(refused)) {
  test(`a payload that is ${kind} is refused, and says what was expected`, async (t) => {
    const { broker, client } = start(t)
    const one = await client('one')
    await one.subscribe('#')
    const message = { topic: 'a', payload: make() } as MessageInit
    const isRight = (error: Error): boolean => {
      assert.ok(error instanceof InvalidOptionError, String(error))
      assert.match(error.message, /^message\.payload: expected bytes, a string or a value for JSON, got /)
      return true
    }
    await assert.rejects(broker.publish(message), isRight)
    await assert.rejects(async () => broker.clients.get('one')?.publish(message), isRight)
    await one.quiet()
  })
}

for (const [value, json] of [
  [{}, '{}'],
  [Object.create(null), '{}'],
  [ofAnotherRealm('({})'), '{}'],
  [{ toJSON: () => ({}) }, '{}'],
  [{ a: 1 }, '{"a":1}'],
  [[], '[]'],
  [[1], '[1]'],
  [7, '7'],
  [false, 'false'],
  [null, 'null'],
  [new Date(0), '"1970-01-01T00:00:00.000Z"'],
] as [unknown, string][]) {
  test(`a payload for JSON is sent as ${json}`, async (t) => {
    const { broker } = start(t)
    const payloads: string[] = []
    broker.subscribe('a', ({ payload }) => void payloads.push(payload.toString()))
    await broker.publish({ topic: 'a', payload: value as object })
    assert.deepEqual(payloads, [json])
  })
}

test('a Will that a hook gives an ArrayBuffer is sent as its bytes', async (t) => {
  const payload = new Uint8Array(bytes).buffer as unknown as Buffer
  const { client } = start(t, {
    plugins: [{ name: 'will', authorizePublish: (message) => ({ ...message, payload }), authorizeDeliver: () => true }],
  })
  const one = await client('one')
  await one.subscribe('a')
  const two = await client('two', { will: will('a', 'x') })
  two.stream.end()
  assert.equal((await one.receives('publish')).payload.toString(), text)
})

for (const [kind, make] of Object.entries(kinds)) {
  test(`${kind} is sent as its bytes, as Authentication Data`, async (t) => {
    const { open } = start(t, {
      plugins: [
        {
          name: 'challenge',
          authenticate: async (_request, _info, _signal, authentication) => {
            await authentication.exchange(make() as Buffer)
            authentication.conclude(make() as Buffer)
            return {}
          },
          reauthenticate: () => ({ done: true, data: make() as Buffer }),
        },
      ],
    })
    const one = open()
    const properties = { authenticationMethod: 'X' }
    const isRight = (packet: { properties?: { authenticationData?: Uint8Array } | undefined }): void =>
      assert.deepEqual(Buffer.from(packet.properties?.authenticationData ?? []), Buffer.from(text))
    one.send(connectPacket('one', { properties }))
    isRight(await one.receives('auth'))
    one.send({ type: 'auth', reasonCode: 0x18, properties })
    isRight(await one.receives('connack'))
    one.send({ type: 'auth', reasonCode: 0x19, properties })
    isRight(await one.receives('auth'))
  })
}

test('Authentication Data that is no bytes or too long is refused', async (t) => {
  const errors: unknown[] = []
  const { open } = start(t, {
    plugins: [
      {
        name: 'challenge',
        authenticate: async (_request, _info, _signal, authentication) => {
          for (const data of [text, {}, Buffer.alloc(65_536)]) {
            await authentication.exchange(data as Buffer).catch((error: unknown) => errors.push(error))
            assert.throws(() => authentication.conclude(data as Buffer), InvalidOptionError)
          }
          return {}
        },
      },
    ],
  })
  const one = open()
  one.send(connectPacket('one', { properties: { authenticationMethod: 'X' } }))
  await one.receives('connack')
  assert.equal(errors.length, 3)
  for (const error of errors) assert.ok(error instanceof InvalidOptionError, String(error))
})
