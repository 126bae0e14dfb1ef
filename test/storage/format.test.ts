/** The stored format: what is written is read again, by this version and as far as it can by another one. */
import assert from 'node:assert/strict'
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isAscii } from 'node:buffer'
import { after, suite, test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { Writer } from '../../lib/packets/writer.ts'
import { crc32 } from '../../lib/storage/log/checksum.ts'
import { FRAME_HEADER, SEGMENT_HEADER } from '../../lib/storage/log/frames.ts'
import { LogPersistence } from '../../lib/storage/log/log-persistence.ts'
import { RecordReaderV2 } from '../../lib/storage/log/read-records-v2.ts'
import { rewriteRecord } from '../../lib/storage/log/rewrite-record.ts'
import { fieldBytes, writeFields } from '../../lib/storage/log/write-fields.ts'
import { type WrittenChange, writeChange } from '../../lib/storage/log/write-records.ts'
import { StoredState } from '../../lib/storage/memory/stored-state.ts'
import {
  type Field,
  type FieldKind,
  type FieldTable,
  hasKinds,
  isFieldList,
  isOfKind,
  messageFields,
  propertyFields,
  sessionFields,
  subscriptionFields,
  targetFields,
  willFields,
} from '../../lib/storage/records.ts'
import type {
  PersistedPublish,
  PersistedQueueItem,
  PersistedState,
  PersistenceOperation,
} from '../../types/persistence.ts'
import { directories } from '../persistence/log-directories.ts'

const { make, removeAll } = directories()
after(removeAll)

const golden = join(import.meta.dirname, '..', '..', '..', 'test', 'storage', 'golden')
const tables: Readonly<Record<string, FieldTable>> = {
  message: messageFields,
  target: targetFields,
  subscription: subscriptionFields,
  session: sessionFields,
  Will: willFields,
  Properties: propertyFields,
}

const string = fc.oneof(fc.string({ maxLength: 8 }), fc.string({ unit: 'grapheme', maxLength: 8 }))
const bytes = fc.uint8Array({ maxLength: 8 }).map((array) => Buffer.from(array))

/** Fields of numbers that no table has, one of each form, in the order in which they are stored. */
const unknownFields = fc
  .array(
    fc.constantFrom(
      '1e 01',
      '3e 0102',
      '5e 01020304',
      '7e 0102030405060708',
      '9e 0003 616263',
      'be 00000002 0102',
      '9f 0000',
    ),
    { minLength: 1, maxLength: 4 },
  )
  .map((list) => Buffer.from(list.join('').replaceAll(' ', ''), 'hex'))

const valueOf: Readonly<Record<FieldKind, fc.Arbitrary<unknown>>> = {
  boolean: fc.boolean(),
  uint8: fc.nat(2),
  uint16: fc.integer({ min: 1, max: 65_535 }),
  uint32: fc.nat(4_294_967_295),
  double: fc.double({ noNaN: true }),
  string,
  bytes,
  payload: fc.oneof(bytes, string),
  'list of uint32': fc.array(fc.nat(4_294_967_295), { maxLength: 3 }),
  'list of string pairs': fc.array(fc.tuple(string, string), { maxLength: 3 }),
  properties: fc.constant({}),
  'unknown fields': unknownFields,
}

/** An object as its rows say: what has a number may be missing. */
function objectOf(
  table: FieldTable,
  fixed: Readonly<Record<string, fc.Arbitrary<unknown>>> = {},
): fc.Arbitrary<object> {
  const model: Record<string, fc.Arbitrary<unknown>> = {}
  const required: string[] = []
  for (const { name, kind, tag } of table.all) {
    model[name] = fixed[name] ?? (kind === 'properties' ? objectOf(propertyFields) : valueOf[kind])
    if (tag === 0 && kind !== 'unknown fields') required.push(name)
  }
  return fc.record(model, { requiredKeys: required, noNullPrototype: true })
}

const clientId = fc.constantFrom('c', 'd')
const brokerId = fc.constant('b')
const counter = fc.nat(12)
const packetId = fc.constantFrom(1, 2, 11, 12, 13, 21, 22, 31, 41, 1001, 1002, 1003, 1004)
const names = { brokerId, brokerCounter: counter }
const message = fc.oneof(
  objectOf(messageFields, names).map((fields) => ({ cmd: 'publish', ...fields })),
  // Of a message from the application, and of one that another program stored.
  objectOf(messageFields, names).map((fields) => ({ cmd: 'publish', ...fields, clientId: undefined })),
  objectOf(messageFields, names).map((fields) => ({ cmd: 'publish', ...fields, brokerId: undefined })),
)
const kinds = {
  publish: {
    packet: message.map(present),
    targets: fc.array(
      objectOf(targetFields, { clientId, messageId: fc.option(packetId, { nil: undefined }) }).map(present),
      {
        maxLength: 3,
      },
    ),
    retain: fc.boolean(),
    incoming: fc.option(fc.record({ clientId, messageId: packetId }), { nil: undefined }),
  },
  session: {
    clientId,
    session: objectOf(sessionFields).map((fields) => ({ owner: undefined, expiresAt: null, ...fields })),
  },
  'end session': { clientId },
  subscribe: {
    clientId,
    subscriptions: fc.array(objectOf(subscriptionFields, { topic: fc.constantFrom('a', 'b') }), { maxLength: 3 }),
  },
  unsubscribe: { clientId, topicFilters: fc.array(fc.constantFrom('a', 'b')) },
  send: { clientId, brokerId, brokerCounter: counter, messageId: packetId },
  release: { clientId, messageId: packetId },
  complete: { clientId, messageId: packetId },
  discard: { clientIds: fc.array(clientId), brokerId, brokerCounter: counter },
  incoming: { clientId, messageId: packetId },
  'incoming done': { clientId, messageId: packetId },
  will: { clientId, will: fc.option(objectOf(willFields), { nil: undefined }) },
} satisfies Readonly<Record<WrittenChange['kind'], Readonly<Record<string, fc.Arbitrary<unknown>>>>>

const change = fc.oneof(
  ...Object.entries(kinds).map(([kind, model]) =>
    fc.record(
      { kind: fc.constant(kind), ...(model as Record<string, fc.Arbitrary<unknown>>) },
      { noNullPrototype: true },
    ),
  ),
) as unknown as fc.Arbitrary<WrittenChange>
const sessions = ['c', 'd'].map((id): WrittenChange => {
  return { kind: 'session', clientId: id, session: { owner: undefined, expiryInterval: 1, expiresAt: null } }
})

function present<T extends object>(object: T): T {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as T
}

/** A name of its own for each message and each place, as a broker gives them. */
function tidy(list: readonly WrittenChange[]): WrittenChange[] {
  return list.map((each, index) => {
    if (each.kind === 'send') return { ...each, messageId: 1000 + index }
    if (each.kind !== 'publish') return each
    const targets = each.targets.map((target, place) =>
      target.messageId === undefined ? target : { ...target, messageId: 10 * index + place + 1 },
    )
    const { brokerCounter } = each.packet
    return {
      ...each,
      targets,
      packet: brokerCounter === undefined ? each.packet : { ...each.packet, brokerCounter: index },
    }
  })
}

function itemOf(item: PersistedQueueItem): unknown {
  return { target: item.target && present(item.target), packet: present(item.packet) }
}

function contents(states: Iterable<PersistedState>): unknown[] {
  return Array.from(states, (state) => {
    if (state.kind === 'retained') return state
    const subscriptions = state.subscriptions.map(present)
    return {
      ...state,
      subscriptions,
      queue: Array.from(state.queue, itemOf),
      incoming: state.incoming.toSorted((a, b) => a - b),
    }
  })
}

/** Without the order of what has none. */
function byName(states: readonly unknown[]): Map<string, unknown> {
  const named = new Map<string, unknown>()
  for (const state of states as PersistedState[]) {
    if (state.kind === 'retained') named.set(`retained ${state.packet.topic}`, state)
    else {
      const subscriptions = state.subscriptions.toSorted((one, other) => (one.topic < other.topic ? -1 : 1))
      named.set(`session ${state.clientId}`, { ...state, subscriptions })
    }
  }
  return named
}

function read(written: Buffer): StoredState {
  const state = new StoredState()
  const reader = new RecordReaderV2()
  reader.open(written, 0)
  while (reader.position < written.length) reader.applyTo(state)
  state.sort()
  return state
}

test('every kind of record with every field is read as it was written, and again when it is written again', () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 12 }), (list) => {
      const writer = new Writer()
      const state = new StoredState()
      let order = 1
      for (const each of [...sessions, ...tidy(list)]) {
        writeChange(writer, each, order, state)
        state.apply(each.kind === 'incoming' ? { ...each, packet: undefined } : each, order)
        order += 10
      }
      const written = writer.take()
      const expected = contents(state.all())
      assert.deepEqual(contents(read(written).all()), expected)

      const reader = new RecordReaderV2()
      reader.open(written, 0)
      while (reader.position < written.length) rewriteRecord(reader, state, writer)
      const again = contents(read(writer.take()).all())
      assert.deepEqual(byName(again), byName(expected))
    }),
    { numRuns: 1000, seed: 1 },
  )
})

test('the size of fields is what is written of them', () => {
  for (const [name, table] of Object.entries(tables)) {
    fc.assert(
      fc.property(objectOf(table), (object) => {
        const writer = new Writer()
        writeFields(writer, table, object)
        assert.ok(isFieldList(writer.buffer.subarray(0, writer.length)))
        const bytes = fieldBytes(table, object)
        // A character counts as one byte.
        if (isAscii(Buffer.from(JSON.stringify(object)))) assert.equal(bytes, writer.length, name)
        else assert.ok(bytes <= writer.length, name)
      }),
      { numRuns: 200, seed: 1 },
    )
  }
})

test('no number stands for two fields, and each kind of value is what it says', () => {
  for (const { tagged } of Object.values(tables)) {
    assert.equal(new Set(tagged.map(({ tag }) => tag)).size, tagged.length)
  }
  for (const table of Object.values(tables)) {
    fc.assert(
      fc.property(objectOf(table), (object) => hasKinds(table, object)),
      { numRuns: 100, seed: 1 },
    )
  }
  const wrong: readonly (readonly [FieldKind, readonly unknown[]])[] = [
    ['boolean', [0, 'true', null]],
    ['uint8', [256, -1, 0.5, '1']],
    ['uint16', [65_536, NaN]],
    ['uint32', [4_294_967_296, null]],
    ['double', ['1', null, 1n]],
    ['string', [1, null, 'x'.repeat(65_536), 'é'.repeat(40_000)]],
    ['bytes', ['x', [1], Buffer.alloc(65_536)]],
    ['payload', [1, null, { type: 'Buffer', data: [] }]],
    ['list of uint32', [1, [-1], ['1'], { length: 0 }]],
    ['list of string pairs', [['ab'], [['a']], [['a', 1]], 'ab']],
    ['properties', [null, 'x', { contentType: 1 }, { userProperties: [1] }]],
    ['unknown fields', ['x', Buffer.from([0]), Buffer.from([0x9e, 0, 2, 1]), Buffer.from([0xde, 1])]],
  ]
  for (const [kind, values] of wrong) for (const value of values) assert.equal(isOfKind(kind, value), false, kind)
})

/** What a later version may have stored: fields that this one does not know, with every object and in Properties. */
const later = Buffer.from('9e 0003 616263 1d 01'.replaceAll(' ', ''), 'hex')
const [propertiesOfMessage, propertiesOfWill] = [messageFields, willFields].map(
  ({ tagged }) => tagged.find(({ kind }) => kind === 'properties')!,
) as [Field, Field]

function propertiesField({ key }: Field, hex: string): Buffer {
  const inside = Buffer.from(hex.replaceAll(' ', ''), 'hex')
  const head = Buffer.alloc(5)
  head[0] = key
  head.writeUInt32BE(inside.length, 1)
  return Buffer.concat([head, inside])
}

/** A Content Type, and a Property of another version. */
const newProperties = '83 0001 78 9e 0001 79'

const fromLater: PersistenceOperation[] = [
  {
    kind: 'session',
    clientId: 'c',
    session: { owner: 'me', expiryInterval: 60, expiresAt: null, unknownFields: later },
  },
  {
    kind: 'subscribe',
    clientId: 'c',
    subscriptions: [{ topic: 'a', qos: 1, rh: 0, rap: false, nl: true, unknownFields: later }],
  },
  {
    kind: 'publish',
    packet: {
      ...publish(1),
      unknownFields: Buffer.concat([later, propertiesField(propertiesOfMessage, newProperties)]),
    },
    targets: [
      { clientId: 'c', qos: 1, retain: false, messageId: 1, unknownFields: later },
      { clientId: 'c', qos: 1, retain: false },
    ],
    retain: true,
  },
  {
    kind: 'will',
    clientId: 'c',
    will: {
      topic: 'w',
      payload: 'x',
      qos: 0,
      retain: false,
      unknownFields: Buffer.concat([propertiesField(propertiesOfWill, newProperties), later]),
    },
  },
]

function publish(brokerCounter: number): PersistedPublish {
  return { cmd: 'publish', topic: 'a', payload: 'x', qos: 1, retain: true, brokerId: 'b', brokerCounter, clientId: 'p' }
}

async function open(dir: string, segmentBytes = 4096): Promise<LogPersistence> {
  const store = new LogPersistence({ dir, durability: 'os', segmentBytes, onWarning: (text) => assert.fail(text) })
  await store.open()
  return store
}

async function stored(store: LogPersistence): Promise<unknown[]> {
  const states: PersistedState[] = []
  for await (const state of store.readAll()) states.push(state)
  const sorted = contents(states).toSorted((one, other) => (JSON.stringify(one) < JSON.stringify(other) ? -1 : 1))
  return structuredClone(sorted)
}

function filesOf(dir: string): (readonly [string, string])[] {
  return readdirSync(dir).map((name) => [name, readFileSync(join(dir, name), 'latin1')])
}

const versionsOf = (dir: string): number[] =>
  readdirSync(dir)
    .filter((name) => name.endsWith('.log'))
    .map((name) => readFileSync(join(dir, name)).readUInt32BE(8))

suite('fields of a later version', () => {
  test('are not looked at, and are still there after restarts and compactions', async () => {
    const dir = make()
    let store = await open(dir)
    await store.commit(fromLater)
    await store.close()
    store = await open(dir)
    const session = await store.readSession('c')
    assert.deepEqual(Buffer.from(session!.session.unknownFields!), later)
    assert.deepEqual(session?.subscriptions[0]?.unknownFields, later)
    const [item] = [...session.queue]
    assert.deepEqual(item?.target?.unknownFields, later)
    const { properties, unknownFields: ofMessage } = item.packet as PersistedPublish
    assert.deepEqual(properties, { contentType: 'x' })
    const unknownProperty = '9e 0001 79'
    assert.deepEqual(ofMessage, Buffer.concat([later, propertiesField(propertiesOfMessage, unknownProperty)]))
    assert.deepEqual(session.will?.properties, { contentType: 'x' })
    assert.deepEqual(
      session.will.unknownFields,
      Buffer.concat([propertiesField(propertiesOfWill, unknownProperty), later]),
    )
    const before = await stored(store)
    for (let round = 0; round < 3; round += 1) {
      await store.compact()
      await store.close()
      store = await open(dir)
      assert.deepEqual(await stored(store), before)
    }
    await store.close()
  })

  test('that are no fields are refused, and nothing of the commit is stored', async () => {
    const store = await open(make())
    const packet = { ...publish(1), unknownFields: Buffer.from([0x9e, 0, 9]) }
    await assert.rejects(
      store.commit([{ kind: 'publish', packet, targets: [], retain: true }]),
      /unknownFields: expected/,
    )
    assert.deepEqual(await stored(store), [])
    await store.close()
  })

  test('may also stand behind all that is known of a record', () => {
    const writer = new Writer()
    writeChange(writer, fromLater[0]!, 1)
    const written = Buffer.concat([writer.take(), later])
    written.writeUInt32BE(written.length - 5, 1)
    assert.equal([...read(written).all()].length, 1)
  })
})

suite('versions of the format', () => {
  for (const name of ['log-closed', 'log-killed', 'log-methods']) {
    test(`a directory of version 1 has everything, and a compaction makes it version 2: ${name}`, async () => {
      const dir = make()
      cpSync(join(golden, '0.1.0', name, 'files'), dir, { recursive: true })
      assert.deepEqual(new Set(versionsOf(dir)), new Set([1]))
      let store = await open(dir)
      const before = await stored(store)
      assert.ok(before.length > 3)
      await store.commit(fromLater)
      await store.close()
      assert.deepEqual(new Set(versionsOf(dir)), new Set([1, 2]), 'a segment has one version')
      store = await open(dir)
      const both = await stored(store)
      assert.ok(both.length > before.length)
      assert.ok(before.every((each) => both.some((other) => isDeepStrictEqual(other, each))))
      await store.compact()
      const { liveBytes } = store.diskUse
      await store.close()
      assert.deepEqual(new Set(versionsOf(dir)), new Set([2]))
      store = await open(dir)
      assert.deepEqual(await stored(store), both)
      assert.equal(store.diskUse.liveBytes, liveBytes)
      await store.close()
    })
  }

  test('a later version is refused with what to do, also with repair, and nothing is touched', async () => {
    const dir = make()
    const writer = await open(dir)
    for (let counter = 1; counter < 200; counter += 1) {
      await writer.commit([{ kind: 'publish', packet: publish(counter), targets: [], retain: true }])
    }
    await writer.close()
    const name = readdirSync(dir).toSorted().at(-1)!
    const last = readFileSync(join(dir, name))
    last.writeUInt32BE(3, 8)
    writeFileSync(join(dir, name), last)
    const before = filesOf(dir)
    assert.ok(before.length > 1, 'a directory that has another version too')
    for (const repair of [false, true]) {
      const store = new LogPersistence({ dir, repair })
      const message = `${join(dir, name)}: written in version 3 of the format, expected at most 2; nothing was changed: open it with the version of haltere that wrote it, or a newer one`
      await assert.rejects(store.open(), { message })
      await store.close()
      assert.deepEqual(filesOf(dir), before)
    }
  })
})

suite('damaged fields', () => {
  /** A session whose fields are these bytes, as one record. */
  function recordOf(hex: string): Buffer {
    const writer = new Writer()
    writeChange(writer, { kind: 'session', clientId: 'c', session: { expiryInterval: 1, expiresAt: null } }, 1)
    const whole = writer.take()
    const record = Buffer.concat([whole.subarray(0, -1), Buffer.from(hex.replaceAll(' ', ''), 'hex')])
    record.writeUInt32BE(record.length - 5, 1)
    return record
  }

  const cases: readonly (readonly [string, string, RegExp])[] = [
    ['that do not end', '1e 01', /expected a 0 behind them/],
    ['that end in the middle of one', '81', /the field of key 129 at byte \d+ of its chunk: expected to end by byte/],
    ['of a length beyond the record', '9e 0009 61 00', /the field of key 158 .* expected to end by/],
    ['of a long length beyond the record', 'be ffffffff 00', /the field of key 190 .* expected to end by/],
    ['of a form that there is not', 'de 01 00', /the field of key 222/],
    ['with something behind them that is none', '00 81 0009', /the field of key 129/],
  ]
  for (const [what, hex, message] of cases) {
    test(`${what} are an error that says where`, () => {
      assert.throws(() => read(recordOf(hex)), message)
    })
  }

  test('of Properties, too', () => {
    const will = { topic: 'w', payload: '', qos: 0, retain: false, properties: { contentType: 'text' } } as const
    const writer = new Writer()
    writeChange(writer, { kind: 'will', clientId: 'c', will }, 1)
    const record = writer.take()
    record.writeUInt16BE(5, record.lastIndexOf('text') - 2)
    assert.throws(() => read(record), /the field of key 131 .* expected to end by/)
  })

  test('in a directory are damage, with file and place', async () => {
    const dir = make()
    const store = await open(dir)
    await store.commit(fromLater.slice(0, 1))
    await store.close()
    const [name = ''] = readdirSync(dir)
    const segment = readFileSync(join(dir, name))
    segment.writeUInt16BE(200, segment.lastIndexOf('abc') - 2)
    const checksum = crc32(segment.subarray(SEGMENT_HEADER + 8), segment.readUInt32BE(28))
    segment.writeUInt32BE(checksum, SEGMENT_HEADER + 4)
    writeFileSync(join(dir, name), segment)
    assert.ok(segment.length > SEGMENT_HEADER + FRAME_HEADER)
    await assert.rejects(new LogPersistence({ dir }).open(), {
      code: 'ECORRUPT',
      message: new RegExp(`${name}: damaged at byte 36: the field of key 158 .* expected to end by`),
    })
  })
})
