/** PUBACK, PUBREC, PUBREL and PUBCOMP: sections 3.4 to 3.7. */
import assert from 'node:assert/strict'
import { MqttError } from '../../lib/index.ts'
import { test } from './broker-under-test.ts'

const publishCodes = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]

const refusing = {
  options: {
    plugins: [
      {
        name: 'refuses',
        authorizePublish: ({ topic }: { topic: string }): boolean => {
          if (topic.startsWith('code/')) {
            throw new MqttError(Number.parseInt(topic.slice(5), 16), 'a reason that is longer than the Client takes', {
              userProperties: [['name', 'and a User Property that is longer than that']],
            })
          }
          return topic !== 'secret'
        },
      },
    ],
  },
}

test('PUBACK and PUBREC have a listed Reason Code [MQTT-3.4.2-1] [MQTT-3.5.2-1]', refusing, async ({ connect }) => {
  const alice = await connect('alice')
  alice.sends(`32 ["secret" 0001 [] 'hi']`)
  await alice.receivesAcknowledgement('40', '0001', 0x87)
  alice.sends(`34 ["secret" 0001 [] 'hi']`)
  await alice.receivesAcknowledgement('50', '0001', 0x87)
  // 0x92, 0x8c and 0xa2 have no place in PUBACK.
  for (const code of [0x80, 0x83, 0x87, 0x90, 0x97, 0x99, 0x92, 0x8c, 0xa2]) {
    const topic = `code/${code.toString(16)}`
    const client = await connect('bob')
    for (const [first, answer] of [
      ['32', '40'],
      ['34', '50'],
    ] as const) {
      client.sends(`${first} ["${topic}" 0005 [] 'hi']`)
      await client.receivesAcknowledgement(answer, '0005', ...publishCodes.filter((listed) => listed >= 0x80))
    }
  }
})

test(
  'PUBACK and PUBREC that would be too large go without Reason String and User Properties [MQTT-3.4.2-2] [MQTT-3.4.2-3] [MQTT-3.5.2-2] [MQTT-3.5.2-3]',
  refusing,
  async ({ connect }) => {
    for (const size of [20, 60, 90, 500]) {
      const alice = await connect('alice', { properties: `27 ${size.toString(16).padStart(8, '0')}` })
      for (const [first, answer] of [
        ['32', 0x40],
        ['34', 0x50],
      ] as const) {
        alice.sends(`${first} ["code/97" 0005 [] 'hi']`)
        const packet = await alice.receivesPacket()
        assert.equal(packet[0], answer)
        assert.equal(packet[packet.indexOf('0005', 1, 'hex') + 2], 0x97)
        assert.ok(packet.length <= size, `${packet.length} bytes for ${size}`)
      }
      await alice.disconnects()
    }
  },
)

test('a PUBREL with other flags than 0010 ends the connection [MQTT-3.6.1-1]', async ({ connect }) => {
  for (const flags of '013456789abcdef') {
    const client = await connect('alice')
    client.sends(`34 ["t" 0001 [] 'hi']`)
    await client.receivesAcknowledgement('50', '0001')
    client.sends(`6${flags} 02 0001`)
    await client.isDisconnected(0x81, 0x82)
  }
})

test('PUBREL says Success, or that its Packet Identifier is not known [MQTT-3.6.2-1]', async ({ connect }) => {
  const alice = await connect('alice')
  await alice.subscribes('"t" 02', '02')
  const bob = await connect('bob')
  await bob.publishes('t', 'hi', { qos: 2 })
  const id = await alice.receives(`34 ["t" ____ [] 'hi']`)
  alice.sends(`50 02 ${id}`)
  await alice.receivesAcknowledgement('62', id, 0)
  // Nobody asked for this one.
  alice.sends('50 02 7777')
  await alice.receivesAcknowledgement('62', '7777', 0x92, 0)
})

test('a PUBREL is not larger than the Client takes [MQTT-3.6.2-2] [MQTT-3.6.2-3]', async ({ connect }) => {
  const alice = await connect('alice', { properties: '27 00000014' })
  alice.sends('50 02 7777')
  const packet = await alice.receivesPacket()
  assert.equal(packet[0], 0x62)
  assert.ok(packet.length <= 20)
})

test('PUBCOMP says Success, or that its Packet Identifier is not known [MQTT-3.7.2-1] [MQTT-4.3.3-11]', async ({
  connect,
}) => {
  const alice = await connect('alice')
  alice.sends(`34 ["t" 0001 [] 'hi']`)
  await alice.receivesAcknowledgement('50', '0001')
  alice.sends('62 02 0001')
  await alice.receivesAcknowledgement('70', '0001', 0)
  alice.sends('62 02 0001')
  await alice.receivesAcknowledgement('70', '0001', 0x92, 0)
  alice.sends('62 03 7777 92')
  await alice.receivesAcknowledgement('70', '7777', 0x92, 0)
})

test('a PUBCOMP is not larger than the Client takes [MQTT-3.7.2-2] [MQTT-3.7.2-3]', async ({ connect }) => {
  const alice = await connect('alice', { properties: '27 00000014' })
  alice.sends('62 02 7777')
  const packet = await alice.receivesPacket()
  assert.equal(packet[0], 0x70)
  assert.ok(packet.length <= 20)
})

test('a Reason Code that is not listed ends the connection [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1]', async ({
  connect,
}) => {
  for (const packet of [
    '40 03 0001 92',
    '40 03 0001 01',
    '50 03 0001 92',
    '62 03 0001 80',
    '70 03 0001 80',
    '40 03 0001 ff',
  ]) {
    const client = await connect('alice')
    client.sends(packet)
    await client.isDisconnected(0x81, 0x82)
  }
})

test('an acknowledgement may have its short form, a Reason Code and Properties [MQTT-3.4.2-1]', async ({ connect }) => {
  const alice = await connect('alice', { properties: '21 0001' })
  await alice.subscribes('"t" 01', '01')
  const bob = await connect('bob')
  for (const rest of ['', '00', '10', '00 []', '80 [1f "because" 26 "n" "v"]', '00']) {
    await bob.publishes('t', 'hi')
    const id = await alice.receives(`32 ["t" ____ [] 'hi']`)
    alice.sends(`40 [${id} ${rest}]`)
  }
  await alice.receivesNothing()
})
