import assert from 'node:assert/strict'
import { Duplex } from 'node:stream'
import { test } from 'node:test'
import fc from 'fast-check'
import { PublishWriter } from '../../lib/connection/publish-writer.ts'
import { Encodings } from '../../lib/messages/encodings.ts'
import { Message } from '../../lib/messages/message.ts'
import type { OutgoingPublish } from '../../lib/messages/outgoing-publish.ts'
import { Output } from '../../lib/connection/output.ts'
import { encode } from '../../lib/packets/encoder.ts'
import { Timers } from '../../lib/timers.ts'
import { ManualClock } from '../support/clock.ts'

const KiB = 1024
const PIECE = 256 * KiB

/** Writes when the test says so; `pieces` has the chunks of each write to the system. */
class Sink extends Duplex {
  readonly pieces: Buffer[][] = []
  #taken: (() => void) | undefined

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, callback: () => void): void {
    this.pieces.push([chunk])
    this.#taken = callback
  }

  override _writev(chunks: { chunk: Buffer }[], callback: () => void): void {
    this.pieces.push(chunks.map(({ chunk }) => chunk))
    this.#taken = callback
  }

  /** False when nothing is under way. */
  async takePiece(): Promise<boolean> {
    const taken = this.#taken
    this.#taken = undefined
    taken?.()
    await new Promise(setImmediate)
    return taken !== undefined
  }

  get bytes(): Buffer {
    return Buffer.concat(this.pieces.flat())
  }
}

interface Setting {
  readonly clock: ManualClock
  readonly sink: Sink
  readonly output: Output
  readonly messages: PublishWriter
  /** The calls of the owner. */
  readonly told: (boolean | string)[]
}

function make(): Setting {
  const clock = new ManualClock()
  const timers = new Timers(clock, assert.ifError)
  const sink = new Sink()
  const told: (boolean | string)[] = []
  const owner = {
    onBytes: (): void => undefined,
    onWritten: (all: boolean): void => void told.push(all),
    writeFailed: ({ message }: Error): void => void told.push(message),
  }
  const output = new Output(sink, owner, timers, 1000)
  return { clock, sink, output, messages: new PublishWriter(output.writer, timers), told }
}

function messageOf(payload: Buffer): Message {
  return new Message({ topic: 'a/b', payload, qos: 1, retain: false }, undefined, Infinity)
}

function outgoing(message: Message, packetId: number, encodings?: Encodings): OutgoingPublish {
  const own = { dup: false, packetId, subscriptionIdentifiers: undefined, encodings }
  return { message, qos: 1, retain: false, ...own }
}

function encoded(payload: Buffer, packetId: number): Buffer {
  const fields = { topic: 'a/b', qos: 1, retain: false, dup: false, properties: undefined } as const
  return encode({ type: 'publish', payload, packetId, ...fields }, 4)
}

test('messages of any size are written unchanged, in chunks, and every byte counts until it is written', async () => {
  const size = fc.oneof(fc.integer({ min: 0, max: 200 }), fc.integer({ min: 15 * KiB, max: 700 * KiB }))
  const step = fc.record({ size, isShared: fc.boolean(), flushes: fc.boolean(), takes: fc.boolean() })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 8 }), fc.boolean(), async (steps, ends) => {
      const { sink, output, messages, told } = make()
      const expected: Buffer[] = []
      for (const [index, { size, isShared, flushes, takes }] of steps.entries()) {
        const message = messageOf(Buffer.alloc(size, index + 1))
        const before = output.bytes
        assert.ok(messages.write(outgoing(message, index + 1, isShared ? new Encodings() : undefined)))
        expected.push(encoded(message.payload, index + 1))
        assert.equal(output.bytes - before, expected.at(-1)?.length)
        if (flushes) output.flush()
        if (takes) await sink.takePiece()
      }
      if (ends) output.end()
      do output.flush()
      while (await sink.takePiece())
      assert.equal(output.bytes, 0)
      assert.ok(sink.bytes.equals(Buffer.concat(expected)))
      if (ends) return
      for (const piece of sink.pieces) assert.ok(Buffer.concat(piece).length <= PIECE)
      assert.deepEqual([told.at(-1), told.length], [true, sink.pieces.length])
    }),
    { numRuns: 60 },
  )
})

test('a large payload is not copied, also when several receivers get it', () => {
  const { sink, output, messages } = make()
  const message = messageOf(Buffer.alloc(20 * KiB))
  const encodings = new Encodings()
  for (const packetId of [1, 2]) messages.write(outgoing(message, packetId, encodings))
  output.flush()
  assert.deepEqual(
    sink.pieces.flat().map((chunk) => chunk.buffer === message.payload.buffer),
    [false, true, false, true],
  )
})

test('a payload that is a small part of what was read is copied: it would keep all of it', () => {
  const { sink, output, messages } = make()
  const payload = Buffer.alloc(100 * KiB).subarray(0, 20 * KiB)
  messages.write(outgoing(messageOf(payload), 1))
  output.flush()
  assert.ok(sink.pieces.flat().every((chunk) => chunk.buffer !== payload.buffer))
})

test('a large message that the Client does not accept is not written [MQTT-3.1.2-24]', () => {
  const { output, messages } = make()
  const message = messageOf(Buffer.alloc(20 * KiB))
  messages.maximumPacketSize = encoded(message.payload, 1).length - 1
  assert.equal(messages.write(outgoing(message, 1)), false)
  assert.equal(output.bytes, 0)
  messages.maximumPacketSize += 1
  assert.equal(messages.write(outgoing(message, 1)), true)
})

test('output that is not written in time fails, whatever its chunks; released output is not retained', async () => {
  const { clock, sink, output, messages, told } = make()
  for (const packetId of [1, 2]) messages.write(outgoing(messageOf(Buffer.alloc(200 * KiB)), packetId))
  output.flush()
  clock.advance(900)
  await sink.takePiece()
  assert.deepEqual(told, [false], 'a piece of two')
  clock.advance(900)
  assert.equal(told.length, 1, 'each piece has its time')
  clock.advance(100)
  assert.equal(told.at(-1), 'the connection took no bytes for 1000 ms')
  output.release()
  assert.equal(output.bytes, 0)
})
