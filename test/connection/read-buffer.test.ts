import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import { encode } from '../../lib/packets/encoder.ts'
import { isBorrowed } from '../../lib/connection/read-buffer.ts'
import { listenTcp } from '../../lib/transports/tcp.ts'
import type { Message } from '../../types/message.ts'
import { publishPacket, settle, start, TestClient } from '../support/client.ts'
import { Accepted, read } from '../transports/accepted.ts'

async function listening(t: TestContext): Promise<{ accepted: Accepted; connected: () => Promise<Socket> }> {
  const accepted = new Accepted()
  const listener = await listenTcp(0, accepted.accept)
  t.after(() => listener.close())
  const { port } = listener.address as { port: number }
  return {
    accepted,
    async connected() {
      const socket = connect(port, '127.0.0.1').setNoDelay()
      t.after(() => socket.destroy())
      await once(socket, 'connect')
      return socket
    },
  }
}

test('the sockets of TCP listeners read into one buffer', async (t) => {
  const { accepted, connected } = await listening(t)
  const buffers = new Set<unknown>()
  for (let count = 0; count < 2; count += 1) {
    const socket = await connected()
    const { stream } = await accepted.next()
    socket.write('one')
    const [chunk] = (await once(stream, 'data')) as [Buffer]
    assert.equal(
      isBorrowed(chunk),
      true,
      'this version of Node.js keeps it elsewhere: see lib/connection/read-buffer.ts',
    )
    buffers.add(chunk.buffer)
  }
  assert.equal(buffers.size, 1)
  assert.equal(isBorrowed(Buffer.from('one')), false)
})

test('bytes without a listener are kept, whatever is read after them', async (t) => {
  const { accepted, connected } = await listening(t)
  const sockets = [await connected(), await connected()]
  const streams = [(await accepted.next()).stream, (await accepted.next()).stream]
  for (const [index, socket] of sockets.entries()) {
    socket.write(`from ${index}`)
    await once(streams[index]!, 'readable')
  }
  for (const [index, stream] of streams.entries()) assert.equal((await read(stream, 6)).toString(), `from ${index}`)
})

test('without a listener, a socket buffers no more than any other, and then reads on', async (t) => {
  const { accepted, connected } = await listening(t)
  const socket = await connected()
  const { stream } = await accepted.next()
  const sent = Buffer.alloc(8 * 1024 * 1024).map((_, index) => index % 251)
  socket.end(sent)
  await once(stream, 'readable')
  let before = 0
  while (before < (stream as Socket).bytesRead) {
    before = (stream as Socket).bytesRead
    await settle()
  }
  assert.ok(stream.readableLength < 1024 * 1024, `${stream.readableLength} bytes are kept`)
  const chunks: Buffer[] = []
  stream.on('data', (chunk: Buffer) => void chunks.push(Buffer.from(chunk)))
  await once(stream, 'end')
  assert.equal(Buffer.compare(Buffer.concat(chunks), sent), 0)
  stream.end()
})

test('a socket that was paused reads on where it stopped, and its end is noticed', async (t) => {
  const { accepted, connected } = await listening(t)
  const socket = await connected()
  const { stream } = await accepted.next()
  const sent = Buffer.alloc(8 * 1024 * 1024).map((_, index) => index % 251)
  socket.end(sent)
  const chunks: Buffer[] = []
  stream.on('data', (chunk: Buffer) => {
    chunks.push(Buffer.from(chunk))
    stream.pause()
    setImmediate(() => {
      assert.equal(chunks.length, reads, 'nothing comes while it is paused')
      reads += 1
      stream.resume()
    })
  })
  let reads = 1
  await once(stream, 'end')
  assert.equal(Buffer.compare(Buffer.concat(chunks), sent), 0)
  stream.end()
  await once(stream, 'close')
})

test('messages over TCP are whole, also if other Clients send between their bytes', async (t) => {
  const kept: Message[] = []
  const asked: Buffer[] = [] // As the bytes came: what a subscriber gets may have been copied since.
  const inspect = ({ payload }: Message): void => void asked.push(payload)
  const { broker } = start(t, { plugins: [{ name: 'keeper', inspect }] })
  broker.subscribe('#', (message) => void kept.push(message))
  const [listener] = await broker.listen({ tcp: 0 })
  const { port } = listener!.address as { port: number }
  const clients: TestClient[] = []
  for (const name of ['a', 'b', 'c']) {
    const socket = connect(port, '127.0.0.1').setNoDelay()
    t.after(() => socket.destroy())
    const client = new TestClient(socket)
    await client.connect(name)
    clients.push(client)
  }
  const expected: string[] = []
  for (const size of [10, 1000, 20_000]) {
    const packets = clients.map((_, index) => {
      expected.push(String(index).repeat(size))
      return encode(publishPacket(`t/${index}`, String(index).repeat(size)), 5)
    })
    // Each sends a third of its packet, then each the next one: the others' bytes are read between them.
    for (const third of [0, 1, 2]) {
      for (const [index, client] of clients.entries()) {
        const length = Math.ceil(packets[index]!.length / 3)
        const part = packets[index]!.subarray(third * length, (third + 1) * length)
        const readBefore = broker.stats().bytesReceived
        client.write(part)
        while (broker.stats().bytesReceived < readBefore + part.length) await settle()
      }
    }
  }
  // Whole packets, which are not put together from parts.
  for (const [index, client] of clients.entries()) {
    expected.push(String(index).repeat(1000))
    client.send(publishPacket(`t/${index}`, String(index).repeat(1000)))
    await client.quiet()
  }
  for (const payloads of [asked, kept.map(({ payload }) => payload)]) {
    assert.deepEqual(payloads.map(String).toSorted(), expected.toSorted())
  }
})
