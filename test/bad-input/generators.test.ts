import { strict as assert } from 'node:assert'
import { after, describe, test } from 'node:test'
import fc from 'fast-check'
import { Broker } from '../../lib/index.ts'
import type { ProtocolLevel } from '../../types/packets.ts'
import { Faults } from './faults.ts'
import { bytes } from '../support/wire.ts'
import { memoryClient, type RawClient, turns, until } from './raw-client.ts'
import { afterConnect, reactionsTo } from './vectors.ts'

const levels: readonly ProtocolLevel[] = [3, 4, 5]
const broker = new Broker({ sysInterval: false })
const faults = new Faults(broker)
after(async () => {
  await until(() => broker.clients.size === 0, 'the end of all connections')
  const { sessions, subscriptions, timers, queuedMessages } = broker.stats()
  assert.deepEqual(
    { sessions, subscriptions, timers, queuedMessages },
    { sessions: 0, subscriptions: 0, timers: 0, queuedMessages: 0 },
  )
  await broker.close()
  faults.stop()
})

const connect: Readonly<Record<ProtocolLevel, string>> = {
  3: '10 <NAME c6 0000 "c" "w" "x" "u" "p">',
  4: '10 <NAME c6 0000 "c" "w" "x" "u" "p">',
  5: '10 <NAME c6 0000 <11 00000000 21 0010 26 "a" "b"> "c" <18 00000001 01 01 03 "t"> "w" "x" "u" "p">',
}

/** A packet of each type, with something in each of its fields. */
function packets(level: ProtocolLevel): readonly string[] {
  const properties = level === 5 ? '<01 01 02 0000000a 03 "t" 08 "r" 09 "d" 23 0001 26 "a" "b">' : ''
  return [
    `30 <"t/a" ${properties} 7878>`,
    `32 <"t/b" 0001 ${properties} 7878>`,
    `34 <"t/c" 0002 NONE 7878>`,
    '62 <0002>',
    level === 5 ? '62 <0002 92 <1f "r">>' : '62 <0002>',
    '40 <0003>',
    level === 5 ? '82 <0004 <0b 8001 26 "a" "b"> "t/+" 2d "u" 00>' : '82 <0004 "t/+" 01 "u" 00>',
    'a2 <0005 NONE "u" "v">',
    'c0 00',
  ]
}

async function outcome(client: RawClient): Promise<string[]> {
  const texts: string[] = []
  for (let answer = await client.next(); answer !== undefined; answer = await client.next()) texts.push(answer.text)
  return texts
}

async function isServed(): Promise<void> {
  const client = memoryClient(broker)
  await client.connects('good')
  await client.sends('82 <0001 NONE "news" 00>').receives('suback 00')
  await client.sends('30 <"news" NONE 78>').receives('publish 0 news x')
  await client.drops()
}

/** One connection with these bytes, half-closed when they had their answers: it ends, whatever they are. */
async function ends(level: ProtocolLevel, input: Buffer): Promise<string[]> {
  const client = memoryClient(broker, level)
  client.sends(input)
  await turns(2)
  client.stream.end()
  const texts = await outcome(client)
  await client.drops()
  return texts
}

describe('whatever becomes of a valid packet', () => {
  for (const level of levels) {
    const first = bytes(connect[level], level)

    test(`cut at any byte it has no effect at Protocol Level ${level}`, async () => {
      for (let length = 1; length < first.length; length += 1) {
        assert.deepEqual(await ends(level, first.subarray(0, length)), [], `CONNECT cut at ${length}`)
      }
      for (const notation of packets(level)) {
        const packet = bytes(notation, level)
        for (let length = 1; length < packet.length; length += 1) {
          const answers = await ends(level, Buffer.concat([first, packet.subarray(0, length)]))
          assert.deepEqual(answers, ['connack 00'], `${notation} cut at ${length}`)
        }
      }
      await isServed()
    })

    test(`with any byte replaced it ends the connection or is answered at Protocol Level ${level}`, async () => {
      for (const [index, notation] of [connect[level], ...packets(level)].entries()) {
        const packet = bytes(notation, level)
        for (let position = 0; position < packet.length; position += 1) {
          for (const value of [0, 0x7f, 0x80, 0xff]) {
            const damaged = Buffer.from(packet)
            damaged[position] = value
            const answers = await ends(level, index === 0 ? damaged : Buffer.concat([first, damaged, bytes('c0 00')]))
            if (index > 0) assert.equal(answers[0], 'connack 00')
          }
        }
      }
      await isServed()
    })
  }
})

const step: Readonly<Record<string, (topic: string) => string>> = {
  publish: (topic) => `30 <"${topic}" NONE 78>`,
  publish1: (topic) => `32 <"${topic}" 0001 NONE 78>`,
  publish2: (topic) => `34 <"${topic}" 0002 NONE 78> 62 <0002>`,
  subscribe: (topic) => `82 <0003 NONE "${topic}" 02>`,
  unsubscribe: (topic) => `a2 <0004 NONE "${topic}">`,
  ping: () => 'c0 00',
}
const anyStep = fc
  .tuple(fc.constantFrom(...Object.values(step)), fc.constantFrom('a', 'b', 'a/b', 'é'))
  .map(([make, topic]) => make(topic))
const steps = fc.array(anyStep, { maxLength: 12 })
const anyLevel = fc.constantFrom<ProtocolLevel>(3, 4, 5)

function stream(level: ProtocolLevel, notations: readonly string[]): Buffer {
  return bytes(['10 <NAME 02 0000 NONE "c">', ...notations].join(' '), level)
}

/** All answers to bytes that come in such pieces. */
async function inPieces(level: ProtocolLevel, input: Buffer, sizes: readonly number[]): Promise<string[]> {
  const client = memoryClient(broker, level)
  for (let from = 0, count = 0; from < input.length; count += 1) {
    const size = sizes[count % sizes.length] as number
    client.sends(input.subarray(from, from + size))
    from += size
    await turns(1)
  }
  client.stream.end()
  const texts = await outcome(client)
  await client.drops()
  return texts
}

test('however a valid stream is cut into pieces, the answers are the same', async () => {
  await fc.assert(
    fc.asyncProperty(
      anyLevel,
      steps,
      fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 8 }),
      async (level, notations, sizes) => {
        const input = stream(level, notations)
        const whole = await inPieces(level, input, [input.length])
        assert.equal(whole[0], 'connack 00')
        for (const pieces of [[1], [2], sizes]) assert.deepEqual(await inPieces(level, input, pieces), whole)
      },
    ),
    { numRuns: 40 },
  )
})

/** What ends every connection on which it comes. */
function fatal(level: ProtocolLevel): fc.Arbitrary<string> {
  return fc.constantFrom(
    ...afterConnect
      .filter((vector) => reactionsTo(vector, level)?.every((reaction) => /^(disconnect .., )?close$/.test(reaction)))
      .map(({ send }) => send),
  )
}

test('what came before a bad packet has its effect, what came after has none', async () => {
  const watcher = memoryClient(broker)
  await watcher.connects('watcher')
  await watcher.sends('82 <0001 NONE "#" 00>').receives('suback 00')
  await fc.assert(
    fc.asyncProperty(
      anyLevel.chain((level) => fc.tuple(fc.constant(level), steps, fatal(level), steps)),
      async ([level, before, bad, later]) => {
        const good = await inPieces(level, stream(level, before), [100_000])
        const seen = await published(watcher)
        const both = Buffer.concat([stream(level, before), bytes([bad, ...later].join(' '), level)])
        const answers = await inPieces(level, both, [100_000])
        if (level === 5) assert.match(answers.pop() ?? '', /^disconnect/)
        assert.deepEqual(answers, good)
        assert.deepEqual(await published(watcher), seen)
      },
    ),
    { numRuns: 150 },
  )
  await watcher.drops()
  await isServed()
})

/** What the watcher saw since it was asked last. */
async function published(watcher: RawClient): Promise<string> {
  return watcher.reaction()
}
