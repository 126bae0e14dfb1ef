/** Abuse that takes more than one packet (S01 to S50): WebSocket. */
import { strict as assert } from 'node:assert'
import { type AddressInfo, connect } from 'node:net'
import { after, before, test } from 'node:test'
import { createWebSocketStream, WebSocket } from 'ws'
import { Broker } from '../../lib/index.ts'
import { Faults } from './faults.ts'
import { bytes } from '../support/wire.ts'
import { RawClient, turns, until } from './raw-client.ts'

const broker = new Broker({ sysInterval: false, limits: { maxPacketSize: 64 * 1024, maxConnectPacketSize: 4096 } })
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

const key = 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=='
const good = [
  'GET /mqtt HTTP/1.1',
  'Host: 127.0.0.1',
  'Upgrade: websocket',
  'Connection: Upgrade',
  key,
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Protocol: mqtt',
]

/** The status line, and the headers, that a request gets; empty when the connection is closed without one. */
async function answerTo(lines: readonly string[]): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1' })
  socket.on('error', () => undefined)
  socket.write(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
  const answer = await new Promise<string>((resolve) => {
    socket.once('data', (chunk: Buffer) => resolve(chunk.toString('latin1')))
    socket.once('close', () => resolve(''))
  })
  socket.destroy()
  return answer
}

/** The good request with the line that begins alike replaced, or left out when only its name is given. */
function instead(line: string): string[] {
  const name = line.split(/[: ]/)[0] as string
  const replaced = good.map((known) => (known.startsWith(`${name}:`) || known.startsWith(`${name} `) ? line : known))
  const lines = replaced.includes(line) ? replaced : [...replaced, line]
  return lines.filter((one) => one !== `${name}:`)
}

test('S41 a WebSocket needs the sub-protocol, the path and no foreign page [MQTT-6.0.0-3] [MQTT-6.0.0-4]', async () => {
  const statusOf = async (line: string): Promise<string> => (await answerTo(instead(line))).split(' ')[1] ?? 'closed'
  assert.match(await answerTo(good), /^HTTP\/1\.1 101 .*Sec-WebSocket-Protocol: mqtt\r\n/s)
  assert.match(
    await answerTo(instead('Sec-WebSocket-Protocol: x, mqttv3.1')),
    /^HTTP\/1\.1 101 .*Sec-WebSocket-Protocol: mqttv3\.1\r\n/s,
  )
  for (const [line, status] of [
    ['Sec-WebSocket-Protocol:', '400'],
    ['Sec-WebSocket-Protocol: chat', '400'],
    ['Sec-WebSocket-Protocol: MQTT', '400'],
    ['GET /other HTTP/1.1', '404'],
    ['Origin: http://evil.example', '403'],
    ['Origin: null', '403'],
    [`Origin: http://127.0.0.1.${'x'.repeat(5000)}`, '403'],
    [`Origin: ${'x'.repeat(10_000)}`, '431'],
    ['Host:', '400'],
    ['Sec-WebSocket-Version: 12', '400'],
    ['Sec-WebSocket-Key: short', '400'],
  ] as const) {
    assert.equal(await statusOf(line), status, line.slice(0, 60))
  }
})

test('S43 requests that are none are refused and nothing is thrown', async () => {
  assert.match(
    await answerTo([...good, ...Array.from({ length: 20_000 }, (_, index) => `x${index}: y`)]),
    /^(HTTP\/1\.1 431|$)/,
  )
  assert.match(await answerTo(['\0\xff garbage']), /^HTTP\/1\.1 400/)
  assert.match(await answerTo(['GET /mqtt HTTP/9.9', 'Host: a']), /^HTTP\/1\.1 (400|505)/)
  assert.match(await answerTo(['POST /mqtt HTTP/1.1', ...good.slice(1)]), /^HTTP\/1\.1 4\d\d/)
  assert.match(await answerTo([`GET /${'x'.repeat(20_000)} HTTP/1.1`, ...good.slice(1)]), /^HTTP\/1\.1 4\d\d/)
})

async function open(): Promise<WebSocket> {
  const webSocket = new WebSocket(`ws://127.0.0.1:${port}/mqtt`, 'mqtt', { perMessageDeflate: true })
  webSocket.on('error', () => undefined)
  await new Promise((resolve) => webSocket.once('open', resolve))
  return webSocket
}

async function closeCode(webSocket: WebSocket): Promise<number> {
  return new Promise((resolve) => webSocket.once('close', resolve))
}

test('S42 a text frame ends the connection with 1003 and an unmasked one with 1002 [MQTT-6.0.0-1]', async () => {
  const text = await open()
  text.send('hello')
  assert.equal(await closeCode(text), 1003)

  const socket = connect({ port, host: '127.0.0.1' })
  socket.write(`${good.join('\r\n')}\r\n\r\n`)
  const received: Buffer[] = []
  socket.on('data', (chunk: Buffer) => received.push(chunk))
  await new Promise((resolve) => socket.once('data', resolve))
  socket.write(Buffer.from('820178', 'hex'))
  await new Promise((resolve) => socket.once('close', resolve))
  assert.ok(Buffer.concat(received).toString('hex').endsWith('880203ea'))
})

test('S42 where frames begin and end means nothing [MQTT-6.0.0-2]', async () => {
  for (const size of [1, 3, 10_000]) {
    const webSocket = await open()
    const client = new RawClient(createWebSocketStream(webSocket))
    const all = bytes('10 <NAME 02 0000 NONE "c"> 82 <0001 NONE "t" 01> {100 30 <"t" NONE 78>} c0 00')
    for (let from = 0; from < all.length; from += size) webSocket.send(all.subarray(from, from + size))
    await client.receives('connack 00', 'suback 01')
    for (let count = 0; count < 100; count += 1) await client.receives('publish 0 t x')
    await client.receives('pingresp')
    await client.drops()
  }
})

test('S42 one packet may come in a hundred fragments of one message', async () => {
  const webSocket = await open()
  const client = new RawClient(createWebSocketStream(webSocket))
  await client.connects('c')
  const packet = bytes('32 <"t" 0001 NONE {900 78}>')
  for (let from = 0; from < packet.length; from += 10) {
    webSocket.send(packet.subarray(from, from + 10), { fin: from + 10 >= packet.length })
  }
  await client.receives('puback 10')
  await client.drops()
})

test('S44 neither many fragments nor a large message hold memory, and nothing is inflated', async () => {
  const deflated = await open()
  assert.equal(deflated.extensions, '')
  deflated.terminate()

  const large = await open()
  large.send(Buffer.alloc(300 * 1024))
  assert.equal(await closeCode(large), 1009)

  const fragments = await open()
  const closed = closeCode(fragments)
  for (let count = 0; count < 10_000 && fragments.readyState === WebSocket.OPEN; count += 1) {
    fragments.send(Buffer.alloc(1), { fin: false })
    if (count % 500 === 0) await turns(1)
  }
  assert.ok([1006, 1008, 1009].includes(await closed))

  const beforeConnect = await open()
  const client = new RawClient(createWebSocketStream(beforeConnect))
  client.sends('10 ffff7f {8192 00}')
  await client.receives('close')
})

test('S44 a flood of pings does not stop the broker', async () => {
  const flood = await open()
  for (let count = 0; count < 5000; count += 1) flood.ping()
  const webSocket = await open()
  const client = new RawClient(createWebSocketStream(webSocket))
  await client.connects('c')
  await client.hasNothing()
  await client.drops()
  flood.terminate()
  await until(() => broker.clients.size === 0 && broker.stats().timers === 0, 'the end of all connections')
})
