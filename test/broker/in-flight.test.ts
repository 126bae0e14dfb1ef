import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PublishPacket } from '../../types/packets.ts'
import { ack, publishPacket, settle, start } from '../support/client.ts'

const properties = { sessionExpiryInterval: 1000 }

test('a Packet Identifier in flight is not used again, also after 65,535 [MQTT-2.2.1-4]', async (t) => {
  const { client, broker } = start(t)
  const one = await client('one', { level: 4 })
  await one.subscribe('t', { qos: 1 })
  await broker.publish({ topic: 't', payload: 'kept', qos: 1 })
  const kept = (await one.receives('publish')).packetId
  const seen = new Set<number>()
  let last = 0
  for (let batch = 0; batch < 140; batch += 1) {
    for (let number = 0; number < 500; number += 1) await broker.publish({ topic: 't', qos: 1 })
    for (let number = 0; number < 500; number += 1) {
      const packet = await one.receives('publish')
      assert.notEqual(packet.packetId, kept)
      assert.ok(packet.packetId >= 1 && packet.packetId <= 65_535)
      seen.add(packet.packetId)
      last = packet.packetId
      one.send(ack('puback', packet.packetId))
    }
    await one.quiet()
  }
  assert.equal(seen.size, 65_534)
  assert.ok(last < 10_000, 'it wrapped around')
})

for (const receiveMaximum of [1, 2, 20]) {
  test(`a Client with Receive Maximum ${receiveMaximum} has no more in flight at once [MQTT-3.3.4-9]`, async (t) => {
    const { client, broker } = start(t)
    const one = await client('one', { properties: { receiveMaximum } })
    await one.subscribe('t', { qos: 2 })
    for (let number = 0; number < 50; number += 1) {
      await broker.publish({ topic: 't', payload: `${number}`, qos: ((number % 2) + 1) as 1 | 2 })
    }
    const open: PublishPacket[] = []
    let next = 0
    while (next < 50) {
      while (open.length < Math.min(receiveMaximum, 50 - next + open.length)) {
        const packet = await one.receives('publish')
        assert.equal(packet.payload.toString(), `${next}`)
        next += 1
        open.push(packet)
        if (next === 50) break
      }
      await one.quiet()
      for (const packet of open.splice(0)) {
        if (packet.qos === 1) one.send(ack('puback', packet.packetId))
        else {
          one.send(ack('pubrec', packet.packetId))
          // It counts until PUBCOMP (section 4.9).
          await settle()
          one.send(ack('pubcomp', packet.packetId))
        }
      }
      await settle()
      one.received.splice(0, one.received.length, ...one.received.filter(({ type }) => type !== 'pubrel'))
    }
    await one.quiet()
  })
}

test('QoS 0 messages are not counted against the Receive Maximum', async (t) => {
  const { client, broker } = start(t)
  const one = await client('one', { properties: { receiveMaximum: 1 } })
  await one.subscribe('t', { qos: 1 })
  await broker.publish({ topic: 't', payload: 'a', qos: 1 })
  await one.receives('publish')
  await broker.publish({ topic: 't', payload: 'b', qos: 1 })
  await broker.publish({ topic: 't', payload: 'c', qos: 0 })
  assert.equal((await one.receives('publish')).payload.toString(), 'c')
  await one.quiet()
})

test('a PUBREC with a refusal frees the quota at once [MQTT-4.4.0-2]', async (t) => {
  const { client, broker } = start(t)
  const one = await client('one', { properties: { receiveMaximum: 1 } })
  await one.subscribe('t', { qos: 2 })
  for (const payload of ['a', 'b', 'c']) await broker.publish({ topic: 't', payload, qos: 2 })
  for (const payload of ['a', 'b', 'c']) {
    const packet = await one.receives('publish')
    assert.equal(packet.payload.toString(), payload)
    one.send(ack('pubrec', packet.packetId, 0x97))
  }
  await one.quiet()
})

test('after a reconnect all that is open is sent again in order with DUP, then what waited [MQTT-4.4.0-1] [MQTT-4.6.0-1]', async (t) => {
  for (const level of [4, 5] as const) {
    const { client, broker } = start(t)
    const options = {
      level,
      cleanStart: false,
      ...(level === 5 && { properties: { ...properties, receiveMaximum: 6 } }),
    }
    const one = await client('one', options)
    await one.subscribe('t', { qos: 2 })
    for (let number = 0; number < 6; number += 1) {
      await broker.publish({ topic: 't', payload: `${number}`, qos: ((number % 2) + 1) as 1 | 2 })
    }
    const packets: PublishPacket[] = []
    for (let number = 0; number < 6; number += 1) packets.push(await one.receives('publish'))
    // 1 is received, 3 is received and its PUBREL was seen, 2 is complete.
    one.send(
      ack('puback', packets[2]!.packetId),
      ack('pubrec', packets[1]!.packetId),
      ack('pubrec', packets[3]!.packetId),
    )
    await one.receives('pubrel')
    await one.receives('pubrel')
    await one.drop()
    await broker.publish({ topic: 't', payload: '6', qos: 1 })
    const again = await client('one', options)
    const came: string[] = []
    for (let number = 0; number < 6; number += 1) {
      const packet = await again.receivesAny()
      if (packet.type === 'publish') {
        came.push(`${packet.payload.toString()}${packet.dup ? ' again' : ''}`)
        assert.equal(
          packet.packetId,
          packet.dup ? packets[Number(packet.payload.toString())]?.packetId : packet.packetId,
        )
      } else if (packet.type === 'pubrel') {
        came.push(`pubrel ${packets.find(({ packetId }) => packetId === packet.packetId)?.payload.toString()}`)
      }
    }
    assert.deepEqual(came, ['0 again', 'pubrel 1', 'pubrel 3', '4 again', '5 again', '6'])
    await again.quiet()
  }
})

test('a PUBREL is sent again until its PUBCOMP comes, the PUBLISH is not [MQTT-4.3.3-6]', async (t) => {
  const { client, broker } = start(t)
  const one = await client('one', { properties })
  await one.subscribe('t', { qos: 2 })
  await broker.publish({ topic: 't', payload: 'x', qos: 2 })
  const { packetId } = await one.receives('publish')
  one.send(ack('pubrec', packetId))
  await one.receives('pubrel')
  await one.drop()
  for (let round = 0; round < 3; round += 1) {
    const again = await client('one', { properties, cleanStart: false })
    assert.equal((await again.receives('pubrel')).packetId, packetId)
    await again.quiet()
    await again.drop()
  }
  const last = await client('one', { properties, cleanStart: false })
  await last.receives('pubrel')
  last.send(ack('pubcomp', packetId))
  await last.quiet()
  await last.drop()
  await (await client('one', { properties, cleanStart: false })).quiet()
})

test('a resume with a smaller Receive Maximum has no more than that at once, in the old order', async (t) => {
  const { client, broker } = start(t)
  const one = await client('one', { properties: { ...properties, receiveMaximum: 10 } })
  await one.subscribe('t', { qos: 1 })
  for (let number = 0; number < 20; number += 1) await broker.publish({ topic: 't', payload: `${number}`, qos: 1 })
  for (let number = 0; number < 10; number += 1) await one.receives('publish')
  await one.drop()
  const again = await client('one', { cleanStart: false, properties: { ...properties, receiveMaximum: 3 } })
  for (let number = 0; number < 20; number += 3) {
    const packets: PublishPacket[] = []
    for (let index = number; index < Math.min(number + 3, 20); index += 1) {
      const packet = await again.receives('publish')
      assert.equal(packet.payload.toString(), `${index}`)
      assert.equal(packet.dup, index < 10)
      packets.push(packet)
    }
    await again.quiet()
    again.send(...packets.map(({ packetId }) => ack('puback', packetId)))
  }
  await again.quiet()
})

test('messages that come while old ones are sent again do not pass them', async (t) => {
  const { client, broker } = start(t)
  const one = await client('one', { properties })
  await one.subscribe('t', { qos: 1 })
  for (let number = 0; number < 5; number += 1) await broker.publish({ topic: 't', payload: `${number}`, qos: 1 })
  for (let number = 0; number < 5; number += 1) await one.receives('publish')
  await one.drop()
  const again = await client('one', { cleanStart: false, properties: { ...properties, receiveMaximum: 1 } })
  for (let number = 5; number < 10; number += 1) await broker.publish({ topic: 't', payload: `${number}`, qos: 1 })
  for (let number = 0; number < 10; number += 1) assert.equal(await again.message(), `${number}`)
})

test('acknowledgements that are not expected have no effect', async (t) => {
  const { client, broker } = start(t)
  for (const level of [4, 5] as const) {
    const one = await client('one', { level })
    await one.subscribe('t', { qos: 2 })
    one.send(ack('puback', 9), ack('pubcomp', 9))
    await one.quiet()
    one.send(ack('pubrec', 9))
    const { packetId, reasonCode } = await one.receives('pubrel')
    assert.deepEqual([packetId, reasonCode], [9, level === 5 ? 0x92 : 0])
    // Twice.
    await broker.publish({ topic: 't', payload: 'x', qos: 2 })
    const packet = await one.receives('publish')
    one.send(ack('pubrec', packet.packetId), ack('pubrec', packet.packetId))
    await one.receives('pubrel')
    await one.receives('pubrel')
    one.send(ack('pubcomp', packet.packetId), ack('pubcomp', packet.packetId))
    await one.quiet()
  }
})

test('a session that ended sends nothing again', async (t) => {
  const { client, broker } = start(t)
  const one = await client('one', { properties })
  await one.subscribe('t', { qos: 1 })
  await broker.publish({ topic: 't', payload: 'x', qos: 1 })
  await one.receives('publish')
  await one.drop()
  const clean = await client('one', { cleanStart: true })
  await clean.quiet()
  clean.send(publishPacket('t', 'x', { qos: 1, packetId: 1 }))
  assert.equal((await clean.receives('puback')).reasonCode, 0x10)
})

test('a message larger than the Maximum Packet Size of its receiver is left out, and the next ones come [MQTT-3.1.2-24]', async (t) => {
  const { client, broker } = start(t)
  const dropped: string[] = []
  broker.on('dropped', (_message, clientId, why) => dropped.push(`${clientId} ${why}`))
  for (const qos of [0, 1, 2] as const) {
    const one = await client('one', { properties: { maximumPacketSize: 100, receiveMaximum: 1 } })
    await one.subscribe('t', { qos })
    for (let number = 0; number < 3; number += 1) await broker.publish({ topic: 't', payload: 'x'.repeat(200), qos })
    await broker.publish({ topic: 't', payload: 'small', qos })
    assert.equal(await one.message(), 'small')
    await one.quiet()
    assert.deepEqual(dropped.splice(0), ['one too-large', 'one too-large', 'one too-large'])
  }
})
