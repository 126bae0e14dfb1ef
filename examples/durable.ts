// A broker whose sessions and messages outlive it: a message for a Client that is away arrives after a restart.
import { Broker } from 'haltere'
import { MqttClient } from 'mqtt'

const store = process.env.STORE ?? 'haltere-store'

/** A Client with a session that outlives its connection. */
function lamp(broker: Broker): MqttClient {
  return new MqttClient(() => broker.connect(), { clientId: 'lamp-1', clean: false, reconnectPeriod: 0 })
}

const before = new Broker({ store })
const client = lamp(before)
await client.subscribeAsync('lamps/1/set', { qos: 1 })
await client.endAsync()

// Resolves when the message is on the disk; a PUBACK waits for that too. From here on it survives `kill -9`.
await before.publish({ topic: 'lamps/1/set', payload: 'on', qos: 1 })
console.log('kept for a Client that is away')
await before.close()

const after = new Broker({ store })
const again = lamp(after)
const message = await new Promise<string>((resolve) => {
  again.once('message', (topic, payload) => resolve(`${topic} ${payload.toString()}`))
})
console.log(`after a restart: ${message}`)
await again.endAsync()
await after.close()
