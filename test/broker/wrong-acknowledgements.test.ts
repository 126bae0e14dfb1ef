import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryPersistence } from '../../lib/storage/memory/memory-persistence.ts'
import type { ProtocolLevel } from '../../types/packets.ts'
import { ack, start, type Setting, type TestClient } from '../support/client.ts'

type Acknowledgement = Parameters<typeof ack>[0]

/** What the Client did before: it received the message, and acknowledged it with PUBREC. */
type State = 'PUBLISH at QoS 1' | 'PUBLISH at QoS 2' | 'PUBREL'

const kept = { cleanStart: false, properties: { sessionExpiryInterval: 600 } }

async function reach(
  { broker, client }: Setting,
  level: ProtocolLevel,
  state: State,
): Promise<{ one: TestClient; packetId: number }> {
  const one = await client('one', { ...kept, level })
  const qos = state === 'PUBLISH at QoS 1' ? 1 : 2
  await one.subscribe('t', { qos })
  await broker.publish({ topic: 't', payload: 'x', qos })
  const { packetId } = await one.receives('publish')
  if (state === 'PUBREL') {
    one.send(ack('pubrec', packetId))
    await one.receives('pubrel')
  }
  return { one, packetId }
}

const wrong: readonly (readonly [State, Acknowledgement, number])[] = [
  ['PUBLISH at QoS 1', 'pubrec', 0],
  ['PUBLISH at QoS 1', 'pubrec', 0x80],
  ['PUBLISH at QoS 1', 'pubcomp', 0],
  ['PUBLISH at QoS 2', 'puback', 0],
  ['PUBLISH at QoS 2', 'puback', 0x80],
  ['PUBLISH at QoS 2', 'pubcomp', 0],
  ['PUBLISH at QoS 2', 'pubcomp', 0x92],
  ['PUBREL', 'puback', 0],
  ['PUBREL', 'pubrec', 0x80],
]

for (const [state, type, reasonCode] of wrong) {
  test(`${type.toUpperCase()} ${reasonCode} after ${state} ends the connection, and the message is sent again`, async (t) => {
    for (const level of [3, 4, 5] as const) {
      if (level < 5 && reasonCode > 0) continue
      for (const persistence of [undefined, new MemoryPersistence()]) {
        const setting = start(t, persistence && { persistence })
        const { one, packetId } = await reach(setting, level, state)
        one.send(ack(type, packetId, reasonCode))
        await one.endedWith(0x82)
        const options = { ...kept, level }
        const again = await setting.client('one', options)
        const resent = await again.receives(state === 'PUBREL' ? 'pubrel' : 'publish')
        assert.equal(resent.packetId, packetId)
        // The state is the same on the next connection.
        again.send(ack(type, packetId, reasonCode))
        await again.endedWith(0x82)
      }
    }
  })
}

test('a second PUBREC is acknowledged with a second PUBREL', async (t) => {
  const setting = start(t)
  for (const level of [3, 4, 5] as const) {
    const { one, packetId } = await reach(setting, level, 'PUBREL')
    one.send(ack('pubrec', packetId))
    assert.equal((await one.receives('pubrel')).reasonCode, 0)
    one.send(ack('pubcomp', packetId))
    await one.quiet()
    await one.unsubscribe('t')
    await one.disconnect()
  }
})

test('an acknowledgement of an unknown Packet Identifier does not end the connection', async (t) => {
  const setting = start(t)
  for (const level of [3, 4, 5] as const) {
    const one = await setting.client('one', { level })
    for (const type of ['puback', 'pubcomp'] as const) one.send(ack(type, 7))
    await one.quiet()
    one.send(ack('pubrec', 7))
    assert.equal((await one.receives('pubrel')).reasonCode, level === 5 ? 0x92 : 0)
    one.send(ack('pubrel', 7))
    assert.equal((await one.receives('pubcomp')).reasonCode, level === 5 ? 0x92 : 0)
  }
})
