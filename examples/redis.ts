// Two brokers and one Redis: a Client that goes from one broker to the other finds its session there, with its messages.
import { createRequire } from 'node:module'
import { Broker, type Persistence } from 'haltere'
import { Redis } from 'ioredis'
import { MqttClient } from 'mqtt'
import mqemitterRedis from 'mqemitter-redis'

// The package has no types.
const redisPersistence = createRequire(import.meta.url)('aedes-persistence-redis') as (options: object) => Persistence

const url = process.env.REDIS ?? 'redis://127.0.0.1:6379'

/** In production each broker is a process of its own, on a machine of its own. */
async function open(): Promise<{ broker: Broker; close: () => Promise<void> }> {
  const emitter = mqemitterRedis({ connectionString: url })
  const persistence = redisPersistence({ conn: new Redis(url), maxSessionDelivery: 100_000 })
  const broker = new Broker({ emitter, persistence })
  await broker.listen({ tcp: 0 }) // Ready when it has read the store and knows the other brokers.
  const close = async (): Promise<void> => {
    await broker.close()
    await new Promise<void>((resolve) => emitter.close(resolve)) // The program that made the emitter closes it.
  }
  return { broker, close }
}

function phone(broker: Broker): MqttClient {
  return new MqttClient(() => broker.connect(), { clientId: 'phone', clean: false, reconnectPeriod: 0 })
}

const one = await open()
const other = await open()

const client = phone(one.broker)
await client.subscribeAsync('news', { qos: 1 })
await client.endAsync()

await one.broker.publish({ topic: 'news', payload: 'kept', qos: 1 })

const again = phone(other.broker)
const message = await new Promise<string>((resolve) => {
  again.once('message', (topic, payload) => resolve(`${topic} ${payload.toString()}`))
})
console.log(`at the other broker: ${message}`)
await again.endAsync()
await Promise.all([one.close(), other.close()])
