/** Closes a broker while its log is at work; then nothing keeps the process: `node closes.js FOLDER`. */
import { connectPacket, TestClient } from '../../support/client.ts'
import { brokerWith, openLog } from '../stores.ts'

const broker = brokerWith(openLog(process.argv[2] ?? ''))
const clients: TestClient[] = []
for (let left = 60; left > 0; left -= 1) {
  const client = new TestClient(broker.connect(), 5)
  client.send(connectPacket(`c${left}`, { cleanStart: false, properties: { sessionExpiryInterval: 1000 } }))
  await client.receives('connack')
  clients.push(client)
}
// One connection ends in each turn of the event loop, so that some end while the log is at work for those before.
for (const client of clients) {
  client.stream.destroy()
  await new Promise((resolve) => setImmediate(resolve))
}
await broker.close({ graceMs: 0 })
console.log('closed')
