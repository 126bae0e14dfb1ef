import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { Message as BrokerMessage } from '../../lib/messages/message.ts'
import { Timers } from '../../lib/timers.ts'
import type { Message } from '../../types/message.ts'
import { settle, start } from '../support/client.ts'
import { ManualClock } from '../support/clock.ts'

const five = ['topic', 'payload', 'qos', 'retain', 'properties']

const file = join(import.meta.dirname, '..', '..', '..', 'lib', 'messages', 'message.ts')

/** The class, and the class without its constructor. */
function classOf(text: string): { whole: string; rest: string } {
  const [whole = ''] = /^export class Message [^]*?^}/m.exec(text) ?? []
  const rest = whole.replace(/^ {2}constructor\([^]*?^ {2}}\n/m, '')
  assert.ok(whole.length > rest.length && rest.length > 0, 'a class with a constructor')
  return { whole, rest }
}

/** Where a field of an object is assigned to, counted up, deleted or filled: of `this`, or of another message. */
function assignments(text: string): string[] {
  const field = String.raw`(?:\b\w+|[)\]])(?:\.|\?\.)#?\w+`
  const found = new RegExp(
    String.raw`${field}\s*(?:[-+*/%&|^?]|\*\*|<<|>>>?|&&|\|\||\?\?)?=(?![=>])|${field}(?:\+\+|--)|(?:\+\+|--)${field}|\bdelete\s|Object\.(?:assign|define)\w*`,
    'g',
  )
  return text.match(found) ?? []
}

test('no field of a message is assigned to outside its constructor, and none can be', () => {
  const { whole, rest } = classOf(readFileSync(file, 'utf8'))
  assert.deepEqual(assignments(rest), [])
  const fields = whole
    .slice(0, whole.indexOf('  constructor('))
    .split('\n')
    .slice(1)
    .filter((line) => line !== '')
  assert.ok(fields.length >= five.length)
  for (const field of fields) assert.match(field, /^ {2}readonly #?\w+: /)
  assert.doesNotMatch(whole, /^ {2}set /m)
})

test('the look at assignments sees them', () => {
  const { rest } = classOf(`export class Message {
  readonly a: number
  constructor() {
    this.a = 1
  }

  one(): void {
    this.a = 1
    this.#b += 1
    other.c ??= 2
    this.d++
    ;(this as X).g = 1
    const e = this.a === 1 && this.a <= 2 ? () => this.a : { f: 1 }
  }
}
`)
  assert.deepEqual(assignments(rest), ['this.a =', 'this.#b +=', 'other.c ??=', 'this.d++', ').g ='])
})

/** Each way to look at an object shows the five fields of the public type, and nothing else. */
function looksLike(message: Message, expected: Message, where: string): void {
  const plain = {
    topic: expected.topic,
    payload: expected.payload,
    qos: expected.qos,
    retain: expected.retain,
    properties: expected.properties,
  }
  assert.deepEqual(Object.keys(message), five, where)
  assert.deepEqual(Reflect.ownKeys(message), five, where)
  assert.deepEqual(Object.entries(message), Object.entries(plain), where)
  assert.deepEqual({ ...message }, plain, where)
  const inherited: string[] = []
  for (const name in message) inherited.push(name)
  assert.deepEqual(inherited, five, where)
  assert.equal(JSON.stringify(message), JSON.stringify(plain), where)
  assert.equal(inspect(message).replace(/^Message /, ''), inspect(plain), where)
  assert.deepEqual(structuredClone({ ...message }).topic, plain.topic, where)
}

test('listeners, subscriptions and hooks get an object with the five fields of a message, and no others', async (t) => {
  const seen = new Map<string, Message[]>()
  const see = (where: string, message: Message): void => {
    seen.set(where, [...(seen.get(where) ?? []), message])
  }
  const { broker, client } = start(t, {
    plugins: [
      {
        name: 'looks',
        authorizePublish: (message) => {
          see('authorizePublish', message)
          return true
        },
        authorizeDeliver: (message) => {
          see('authorizeDeliver', message)
          return true
        },
      },
    ],
  })
  broker.on('published', (message) => see('published', message))
  broker.subscribe('#', (message) => see('a listener', message))
  broker.subscribe('#', (message) => see('a listener at QoS 0', message), { qos: 0 })
  const loop = broker.subscribe('#', { retained: false })[Symbol.asyncIterator]()
  const receiver = await client('receiver')
  await receiver.subscribe('#', { qos: 1 })

  const publisher = await client('publisher')
  const properties = { messageExpiryInterval: 60, contentType: 'text' }
  await publisher.publish('with/properties', 'x', { qos: 1, retain: true, properties })
  await publisher.publish('without', 'y', { qos: 1 })
  await receiver.receives('publish')
  await receiver.receives('publish')
  for (let count = 0; count < 2; count += 1) see('a loop', ((await loop.next()) as { value: Message }).value)
  await loop.return?.()
  await settle()
  broker.subscribe('with/#', (message) => see('what is retained', message))
  await settle()

  const both: Message[] = [
    { topic: 'with/properties', payload: Buffer.from('x'), qos: 1, retain: true, properties },
    { topic: 'without', payload: Buffer.from('y'), qos: 1, retain: false, properties: undefined },
  ]
  const expected: Record<string, readonly Message[]> = {
    authorizePublish: both,
    authorizeDeliver: both,
    published: both,
    'a listener': both,
    'a listener at QoS 0': both.map((message) => ({ ...message, qos: 0 })),
    'a loop': both,
    'what is retained': both.slice(0, 1),
  }
  assert.deepEqual([...seen.keys()].toSorted(), Object.keys(expected).toSorted())
  for (const [where, messages] of Object.entries(expected)) {
    assert.equal(seen.get(where)?.length, messages.length, where)
    for (const [index, message] of messages.entries()) looksLike(seen.get(where)?.[index] as Message, message, where)
  }
})

test('a message that the application or a hook gives is seen in the same way', () => {
  const timers = new Timers(new ManualClock(), assert.ifError)
  const given = BrokerMessage.of({ topic: 't', payload: { a: 1 } }, 'publisher', timers)
  const payload = Buffer.from('{"a":1}')
  looksLike(given, { topic: 't', payload, qos: 0, retain: false }, 'of the application')
  const other: Message = { topic: 'u', payload, qos: 1, retain: true, properties: { messageExpiryInterval: 1 } }
  looksLike(given.replacedBy(other, timers), other, 'of a hook')
  assert.notEqual(given.replacedBy(other, timers), given)
  looksLike(given, { topic: 't', payload, qos: 0, retain: false }, 'the first one is as it was')
})

test('the copy without views is another message, with the same five fields', () => {
  const correlationData = Buffer.alloc(8).subarray(2, 4)
  const payload = Buffer.alloc(100_000).subarray(10, 12)
  const fields = { topic: 't', payload, qos: 1, retain: false, properties: { correlationData } } as const
  const message = new BrokerMessage(fields, 'publisher', 5000)
  const copy = message.detached()
  looksLike(copy, fields, 'the copy')
  assert.notEqual(copy.payload.buffer, payload.buffer)
  assert.equal(message.payload, payload, 'the first one is as it was')
  assert.deepEqual([copy.publisher, copy.expiresAt, copy.size], ['publisher', 5000, message.size])
  assert.equal(copy.detached(), copy)
})
