import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { Duplex } from 'node:stream'
import { test } from 'node:test'
import { outputBuffers } from '../../lib/connection/output-buffers.ts'
import { Decoder } from '../../lib/packets/decoder.ts'
import { encode } from '../../lib/packets/encoder.ts'
import { connectPacket, filter, settle, start, TestClient } from '../support/client.ts'

const MiB = 1024 * 1024

// From 16 KiB on a payload is not copied into a buffer.
const sizes = [10, 700, 3000, 5000, 9000, 12_000, 15_000, 30_000]

function payload(number: number, receiver: number): Buffer {
  return Buffer.alloc(sizes[number % sizes.length]! + number, `${number} for ${receiver}, `)
}

test('buffers come back in their size, and only so many are kept', () => {
  const large = outputBuffers.take(100_000)
  assert.equal(large.length, 128 * 1024)
  outputBuffers.giveBack(large)
  assert.equal(outputBuffers.take(70_000), large)
  assert.notEqual(outputBuffers.take(70_000), large)
  const part = outputBuffers.take(2 * MiB)
  assert.ok(part.length >= 2 * MiB)
  for (const buffer of [large.subarray(0, 4096), Buffer.alloc(0), Buffer.alloc(5000), part]) {
    outputBuffers.giveBack(buffer)
    for (const size of [3000, 5000, 200_000]) assert.notEqual(outputBuffers.take(size), buffer)
  }
  const many = Array.from({ length: 100 }, () => outputBuffers.take(256 * 1024))
  for (const buffer of many) outputBuffers.giveBack(buffer)
  const again = new Set(Array.from({ length: 100 }, () => outputBuffers.take(256 * 1024)))
  assert.equal(many.filter((buffer) => again.has(buffer)).length, 2)
})

test('each Client over TCP gets its own bytes, whether it reads at once or late', async (t) => {
  const { broker } = start(t, { limits: { maxOutboundBytes: 64 * MiB, maxPacketSize: 2 * MiB } })
  const [listener] = await broker.listen({ tcp: 0 })
  const { port } = listener!.address as { port: number }
  const clients: TestClient[] = []
  for (let index = 0; index < 6; index += 1) {
    const socket = connect(port, '127.0.0.1')
    t.after(() => socket.destroy())
    const client = new TestClient(socket)
    await client.connect(`client ${index}`)
    await client.subscribe(`for/${index}`)
    clients.push(client)
  }
  const late = clients.slice(3)
  for (const { stream } of late) stream.pause()
  // More than the buffers of the sockets hold.
  const count = 2000
  for (let number = 0; number < count; number += 1) {
    for (const index of clients.keys()) {
      void broker.publish({ topic: `for/${index}`, payload: payload(number, index) }) // Some do not read.
    }
    // One to 17 messages for each in a turn, so that all sizes of buffers are used.
    if (number % 17 === 0 || number % 5 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  for (const { stream } of late) stream.resume()
  for (const [index, client] of clients.entries()) {
    for (let number = 0; number < count; number += 1) {
      const packet = await client.receives('publish')
      assert.equal(Buffer.compare(packet.payload, payload(number, index)), 0, `message ${number} of client ${index}`)
    }
  }
})

test('a stream that keeps the chunks it was given finds in them what was there', async (t) => {
  const { broker } = start(t)
  const kept: Buffer[] = []
  class Keeper extends Duplex {
    override _read(): void {}

    override _write(chunk: Buffer, _encoding: string, callback: () => void): void {
      kept.push(chunk)
      callback()
    }
  }
  const stream = new Keeper()
  broker.handle(stream)
  stream.push(encode(connectPacket('keeper', { level: 4 }), 4))
  stream.push(encode({ type: 'subscribe', packetId: 1, subscriptions: [filter('#')], properties: undefined }, 4))
  await settle()
  for (const number of sizes.keys()) {
    await broker.publish({ topic: 't', payload: payload(number, 0) })
    await settle()
  }
  const decoder = new Decoder({ protocolLevel: 4 })
  decoder.push(Buffer.concat(kept))
  const payloads: Buffer[] = []
  for (let packet = decoder.next(); packet !== undefined; packet = decoder.next()) {
    if (packet.type === 'publish') payloads.push(packet.payload)
  }
  assert.equal(payloads.length, sizes.length)
  for (const [number, got] of payloads.entries()) assert.equal(Buffer.compare(got, payload(number, 0)), 0)
  stream.destroy()
  await once(stream, 'close')
})
