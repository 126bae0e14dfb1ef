// Shared subscriptions: three workers share the jobs, and each job goes to one of them.
import { Broker } from 'haltere'
import { MqttClient } from 'mqtt'

const JOBS = 9
const broker = new Broker()

let done = 0
async function worker(clientId: string): Promise<MqttClient> {
  const client = new MqttClient(() => broker.connect(), { clientId, protocolVersion: 5 })
  client.on('message', (_topic, payload) => {
    console.log(`${clientId} does job ${payload.toString()}`)
    done += 1
    if (done === JOBS) void close()
  })
  await client.subscribeAsync('$share/workers/jobs', { qos: 1 })
  return client
}

const workers = await Promise.all(['worker-1', 'worker-2', 'worker-3'].map(worker))

for (let job = 1; job <= JOBS; job += 1) {
  await broker.publish({ topic: 'jobs', payload: String(job), qos: 1 })
}

async function close(): Promise<void> {
  await Promise.all(workers.map((client) => client.endAsync()))
  await broker.close()
}
