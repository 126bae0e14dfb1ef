import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Duplex as NodeDuplex, PassThrough, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { test } from 'node:test'
import { connectionInfo } from '../../lib/transports/info.ts'
import { memoryPair } from '../../lib/transports/memory.ts'
import { read } from './accepted.ts'

test('what one end of a connection in memory writes, the other reads', async () => {
  const [client, server] = memoryPair()
  client.write(Buffer.from('c000', 'hex'))
  assert.equal((await read(server, 2)).toString('hex'), 'c000')
  server.write(Buffer.from('d000', 'hex'))
  assert.equal((await read(client, 2)).toString('hex'), 'd000')
})

test('the reader keeps its bytes when the writer uses its buffer again', async () => {
  const [client, server] = memoryPair()
  const bytes = Buffer.from('first')
  await new Promise((resolve) => client.write(bytes, resolve))
  bytes.fill(0)
  assert.equal((await read(server, 5)).toString(), 'first')
})

test('a writer in memory waits while nobody reads, and goes on afterwards', async () => {
  const [client, server] = memoryPair()
  const chunk = Buffer.alloc(16 * 1024, 1)
  let written = 0
  while (client.write(chunk)) written += 1
  assert.ok(written >= 4 && written < 16, `${written} chunks of 16 KiB were taken`)
  assert.ok(server.readableLength <= 80 * 1024)
  const drained = once(client, 'drain')
  await read(server, chunk.length * (written + 1))
  await drained
  assert.equal(client.writableNeedDrain, false)
})

test('ending one end in memory delivers all that was sent before, then closes both', async () => {
  const [client, server] = memoryPair()
  const closed = [once(client, 'close'), once(server, 'close')]
  client.end(Buffer.alloc(200_000, 7))
  assert.equal((await read(server, 200_000)).length, 200_000)
  assert.equal(server.read(), null)
  client.resume()
  await Promise.all(closed)
})

test('the server can still answer after the client has ended its side', async () => {
  const [client, server] = memoryPair()
  client.end('request')
  server.once('data', () => server.write('answer'))
  assert.equal((await read(client, 6)).toString(), 'answer')
})

test('destroying one end in memory closes the other', async () => {
  for (const end of [0, 1] as const) {
    const pair = memoryPair()
    const closed = pair.map((stream) => once(stream, 'close'))
    pair[end].destroy()
    await Promise.all(closed)
    pair[end === 0 ? 1 : 0].write('lost') // no error: as with TCP
  }
})

test('an error of one end in memory stays there', async () => {
  const [client, server] = memoryPair()
  const failed = once(client, 'error')
  const closed = once(server, 'close')
  client.destroy(new Error('mine'))
  assert.equal((await failed)[0].message, 'mine')
  await closed
})

test('what arrived before the other end was destroyed can still be read', async () => {
  const [client, server] = memoryPair()
  client.write(Buffer.from('e000', 'hex'))
  client.destroy()
  assert.equal(server.destroyed, false)
  const chunks: Buffer[] = []
  server.on('data', (chunk: Buffer) => chunks.push(chunk))
  await once(server, 'close')
  assert.equal(Buffer.concat(chunks).toString('hex'), 'e000')
})

test('a write that waits ends when the reading end is destroyed', async () => {
  const [client, server] = memoryPair()
  const written = new Promise((resolve) => client.write(Buffer.alloc(1_000_000), resolve))
  assert.ok(client.writableNeedDrain)
  const closed = once(client, 'close')
  server.destroy()
  await written
  await closed
})

test("a stream in memory works with the pipelines of node's own streams", async () => {
  const [client, server] = memoryPair()
  const upper = new Transform({
    transform: (chunk, _encoding, callback) => callback(null, String(chunk).toUpperCase()),
  })
  const echo = pipeline(server, upper, server)
  const out = new PassThrough()
  const received = pipeline(client, out)
  client.end('mqtt')
  assert.equal((await read(out, 4)).toString(), 'MQTT')
  await Promise.all([echo, received])
})

test('a stream about which nothing is known is not called memory, for that would make it trusted', () => {
  assert.deepEqual(connectionInfo(memoryPair()[0]), { transport: 'stream' })
  assert.deepEqual(connectionInfo(new NodeDuplex()), { transport: 'stream' })
})
