import assert from 'node:assert/strict'
import { once } from 'node:events'
import { WebSocket } from 'ws'
import { test } from './broker-under-test.ts'
import { connectPacket } from './client.ts'
import { parseBytes } from './notation.ts'

test('a text frame closes the connection [MQTT-6.0.0-1]', async ({ openWebSocket }) => {
  const socket = await openWebSocket()
  socket.send('hello')
  await once(socket, 'close')
  const connected = await openWebSocket()
  connected.send(parseBytes(connectPacket()))
  const [message] = (await once(connected, 'message')) as [Buffer]
  assert.equal(message[0], 0x20)
  connected.send('hello')
  await once(connected, 'close')
})

test('what the Server sends is in binary frames [MQTT-6.0.0-1]', async ({ openWebSocket }) => {
  const socket = await openWebSocket()
  socket.send(parseBytes(connectPacket()))
  const [, isBinary] = (await once(socket, 'message')) as [Buffer, boolean]
  assert.equal(isBinary, true)
  socket.terminate()
})

test('packets need not begin and end with frames [MQTT-6.0.0-2]', async ({ openWebSocket, webSocketClient }) => {
  const socket = await openWebSocket()
  const client = webSocketClient(socket)
  for (const byte of parseBytes(connectPacket())) socket.send(Buffer.of(byte))
  await client.receivesConnack()
  const bytes = Buffer.concat([
    parseBytes('82 [0001 [] "t" 00]'),
    ...Array.from({ length: 50 }, (_, number) => parseBytes(`30 ["t" [] '${number}']`)),
    parseBytes('c0 00'),
  ])
  const expectThem = async (): Promise<void> => {
    await client.receivesCodes('SUBACK', '0001', '00')
    for (let number = 0; number < 50; number += 1) await client.receives(`30 ["t" [] '${number}']`)
    await client.receives('d0 00')
  }
  socket.send(bytes)
  await expectThem()
  for (const byte of bytes) socket.send(Buffer.of(byte))
  await expectThem()
  for (let at = 0; at < bytes.length; at += 7) socket.send(bytes.subarray(at, at + 7))
  await expectThem()
  socket.terminate()
})

test('the Server selects the subprotocol mqtt [MQTT-6.0.0-4]', async ({ openWebSocket }) => {
  for (const offered of ['mqtt', ['other', 'mqtt'], ['mqtt', 'mqttv3.1']]) {
    const socket = await openWebSocket(offered)
    assert.equal(socket.protocol, 'mqtt')
    socket.terminate()
  }
})

test('a Client that does not offer mqtt is not served [MQTT-6.0.0-3]', async ({ server }) => {
  for (const offered of [[], ['MQTT'], ['soap'], ['mqtt5']]) {
    const socket = new WebSocket(`ws://${server.host}:${server.wsPort}/mqtt`, offered)
    const [error] = (await Promise.race([once(socket, 'error'), once(socket, 'open')])) as [Error?]
    assert.ok(error instanceof Error, `${offered.join()} was accepted`)
  }
})
