// An application and its test. The broker is in the process of the test: no port, no container, nothing to wait for.
// Run it with `node --test dist/examples/unit-test.js`.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Broker } from 'haltere'
import { MqttClient } from 'mqtt'

/** The application: a thermostat that switches a heater. */
async function thermostat(client: MqttClient, target: number): Promise<void> {
  client.on('message', (_topic, payload) => {
    client.publish('heater', Number(payload.toString()) < target ? 'on' : 'off', { qos: 1 })
  })
  await client.subscribeAsync('temperature', { qos: 1 })
}

test('the heater goes on when it is cold and off when it is warm', async (t) => {
  const broker = new Broker()
  t.after(() => broker.close())
  const client = new MqttClient(() => broker.connect(), { clientId: 'thermostat' })
  t.after(() => client.endAsync())
  await thermostat(client, 20)

  const heater = broker.subscribe('heater')[Symbol.asyncIterator]()
  const state = async (): Promise<string> => String((await heater.next()).value?.payload)

  await broker.publish({ topic: 'temperature', payload: '18.5', qos: 1 })
  assert.equal(await state(), 'on')
  await broker.publish({ topic: 'temperature', payload: '21.0', qos: 1 })
  assert.equal(await state(), 'off')
})
