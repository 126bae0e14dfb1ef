import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connectPacket, start } from '../support/client.ts'

const long = 'l'.repeat(24)

test('an MQTT 3.1 Client Identifier of more than 23 characters is refused, unless an option allows it', async (t) => {
  const strict = start(t).open(3)
  assert.equal((await strict.connect(long)).reasonCode, 2)
  await strict.ended()
  const { open, client, resume, broker } = start(t, { allowLongClientIdentifiers: true })
  for (const clientId of [long, 'é'.repeat(30), 'x'.repeat(60_000)]) {
    const one = await client(clientId, { level: 3, cleanStart: false })
    await one.subscribe('t', { qos: 1 })
    assert.ok(broker.clients.has(clientId))
    await one.disconnect()
    const { client: again } = await resume(clientId, { level: 3, cleanStart: false })
    await broker.publish({ topic: 't', payload: 'x', qos: 1 })
    assert.equal(await again.message(), 'x', 'the session was kept')
    await again.unsubscribe('t')
    await again.disconnect()
  }
  const empty = open(3)
  empty.send(connectPacket('', { level: 3 }))
  assert.equal((await empty.receives('connack')).reasonCode, 2)
})
