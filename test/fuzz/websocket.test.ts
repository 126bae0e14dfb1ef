import { strict as assert } from 'node:assert'
import { type AddressInfo, connect } from 'node:net'
import { after, before, test } from 'node:test'
import { createWebSocketStream, WebSocket } from 'ws'
import { Broker } from '../../lib/index.ts'
import { Faults } from '../bad-input/faults.ts'
import { RawClient, until } from '../bad-input/raw-client.ts'
import { conversation, mutate } from './conversation.ts'
import { Random } from './random.ts'

const BATCHES = 40
const BATCH = 25

const broker = new Broker({ sysInterval: false, limits: { maxSessionExpiry: 0 } })
const faults = new Faults(broker)
let port: number

before(async () => {
  const [listener] = await broker.listen({ ws: 0 })
  port = (listener as { address: AddressInfo }).address.port
})
after(async () => {
  await broker.close()
  faults.stop()
})

function handshake(random: Random): Buffer {
  const lines = [
    `GET ${random.oneIn(10) ? '/other' : '/mqtt'} HTTP/1.1`,
    'Host: 127.0.0.1',
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Key: ${random.oneIn(10) ? 'short' : random.bytes(16).toString('base64')}`,
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Protocol: ${random.oneIn(10) ? 'chat' : 'mqtt'}`,
    ...(random.oneIn(6) ? ['Sec-WebSocket-Extensions: permessage-deflate'] : []),
    ...(random.oneIn(10) ? [`Origin: ${random.pick(['null', 'http://elsewhere', 'x'.repeat(9000)])}`] : []),
  ]
  if (random.oneIn(12)) random.shuffle(lines)
  const request = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`)
  if (random.oneIn(10)) request[random.below(request.length)] = random.below(256)
  return request
}

/** A frame of RFC 6455, most of them as a browser would send them. */
function frame(random: Random, payload: Buffer): Buffer {
  const operation = random.oneIn(8) ? random.below(16) : 2
  const final = random.oneIn(10) ? 0 : 0x80
  const reserved = random.oneIn(15) ? random.below(8) << 4 : 0
  const masked = random.oneIn(15) ? 0 : 0x80
  const length = random.oneIn(15) ? random.pick([0, 125, 126, 65_535, 0xffff_ffff]) : payload.length
  const mask = random.bytes(4)
  const header =
    length < 126
      ? Buffer.from([final | reserved | operation, masked | length])
      : length < 65_536
        ? Buffer.from([final | reserved | operation, masked | 126, length >> 8, length & 0xff])
        : Buffer.from([final | reserved | operation, masked | 127, ...random.bytes(8)])
  const content = masked === 0 ? payload : payload.map((byte, index) => byte ^ (mask[index % 4] as number))
  return Buffer.concat([header, ...(masked === 0 ? [] : [mask]), content])
}

function frames(random: Random): Buffer {
  const bytes = mutate(random, conversation(random))
  const made: Buffer[] = []
  let from = 0
  while (from < bytes.length) {
    const to = random.oneIn(2) ? bytes.length : Math.min(bytes.length, from + 1 + random.below(30))
    made.push(frame(random, bytes.subarray(from, to)))
    from = to
  }
  if (random.oneIn(10)) random.shuffle(made)
  const all = Buffer.concat(made)
  if (random.oneIn(6) && all.length > 0) all[random.below(all.length)] = random.below(256)
  return random.oneIn(6) ? all.subarray(0, random.below(all.length + 1)) : all
}

/** One connection, up to its end, or to the first answer when the broker has no reason to end it. */
async function attempt(random: Random): Promise<void> {
  const socket = connect({ port, host: '127.0.0.1' })
  socket.on('error', () => undefined)
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  const request = handshake(random)
  const rest = random.oneIn(12) ? random.bytes(200) : frames(random)
  if (random.oneIn(2)) {
    socket.write(request)
    socket.write(rest)
  } else socket.write(Buffer.concat([request, rest]))
  if (random.oneIn(3)) socket.end()
  await new Promise<void>((resolve) => {
    socket.once('data', () => setImmediate(resolve))
    socket.once('close', () => resolve())
    // Some requests are not complete; nobody waits for their time-out.
    socket.setTimeout(50, resolve)
  })
  socket.destroy()
  await closed
}

test('no damaged WebSocket frame stops the broker or reaches another Client [MQTT-6.0.0-1]', async (t) => {
  const seed = Number(process.env.FUZZ_SEED ?? 1)
  t.diagnostic(`seed ${seed}`)
  const random = new Random(seed)
  for (let batch = 0; batch < BATCHES; batch += 1) {
    await Promise.all(Array.from({ length: BATCH }, () => attempt(random)))
    const socket = new WebSocket(`ws://127.0.0.1:${port}/mqtt`, 'mqtt')
    const client = new RawClient(createWebSocketStream(socket))
    await client.connects('healthy')
    await client.sends('82 <0001 NONE "h" 00>').receives('suback 00')
    await client.sends('30 <"h" NONE \'news\'>').receives('publish 0 h news')
    await client.sends('e0 00').receives('close')
    await client.drops()
  }
  await until(() => broker.clients.size === 0 && broker.stats().sessions === 0, 'the end of all Clients')
  assert.equal(broker.stats().subscriptions, 0)
})
