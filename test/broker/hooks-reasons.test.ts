import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MqttError } from '../../lib/errors.ts'
import { ReasonCode } from '../../lib/packets/reason-codes.ts'
import { settle, start, type TestClient, will } from '../support/client.ts'

// The decoder of these Clients refuses a Reason Code that its packet may not have, so decoding the reply is the test.
const reasons = Object.entries(ReasonCode).filter(([, code]) => code >= 0x80)

for (const level of [4, 5] as const) {
  test(`whatever reason a hook refuses with, MQTT level ${level} Clients get a packet that there is`, async (t) => {
    const wrong: string[] = []
    for (const [name, code] of [...reasons, ['no such code', 0xf0], ['success', 0], ['granted', 2]] as const) {
      const attempt = async (what: string, refuses: () => Promise<number>): Promise<void> => {
        try {
          const answer = await refuses()
          if (level === 5 ? answer < 0x80 : answer === 0) wrong.push(`${name}: ${what} answered ${answer}`)
        } catch (error) {
          wrong.push(`${name}: ${what}: ${(error as Error).message}`)
        }
      }
      const no = (): never => {
        throw new MqttError(code)
      }
      const one = start(t, { plugins: [{ name: 'a', authenticate: no }] })
      await attempt('authenticate', async () => (await one.open(level).connect('x')).reasonCode)
      const two = start(t, { plugins: [{ name: 'a', authorizePublish: no, authorizeSubscribe: no }] })
      await attempt('Will', async () => (await two.open(level).connect('x', { will: will('w', '') })).reasonCode)
      const client = (): Promise<TestClient> => two.client('x', { level })
      if (level === 5) await attempt('QoS 1', async () => (await client()).publish('a', '', { qos: 1 }))
      if (level === 5) await attempt('QoS 2', async () => (await client()).publish('a', '', { qos: 2 }))
      await attempt('SUBSCRIBE', async () => (await (await client()).subscribe('a'))[0] ?? 0)
      await settle()
    }
    assert.deepEqual(wrong, [])
  })
}

test('an MqttError from client.disconnect carries a Reason Code that DISCONNECT may carry', async (t) => {
  const wrong: string[] = []
  for (const [name, code] of reasons) {
    const { client, broker } = start(t)
    const one = await client('one')
    void broker.clients.get('one')?.disconnect(code)
    try {
      assert.ok((await one.receives('disconnect')).reasonCode >= 0x80)
    } catch (error) {
      wrong.push(`${name}: ${(error as Error).message}`)
    }
  }
  assert.deepEqual(wrong, [])
})
