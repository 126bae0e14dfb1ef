// A chat in the browser: one HTTP server has the page, MQTT.js and the broker. Run it from the root of the repository
// with `node dist/examples/chat.js` and open http://127.0.0.1:8080 in two windows.
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createBroker } from 'haltere'

const files: Record<string, { readonly type: string; readonly bytes: Buffer }> = {
  '/': { type: 'text/html; charset=utf-8', bytes: readFileSync('examples/chat.html') },
  '/mqtt.js': { type: 'text/javascript', bytes: readFileSync('node_modules/mqtt/dist/mqtt.min.js') },
}

const web = createServer((request, response) => {
  const file = files[request.url ?? '']
  if (file === undefined) response.writeHead(404).end()
  else response.writeHead(200, { 'Content-Type': file.type }).end(file.bytes)
})

// Pages of the same host may connect; those of others may not, unless `origins` names them.
const broker = await createBroker()
broker.attach(web, { path: '/mqtt' })

web.listen(Number(process.env.PORT ?? 8080), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${(web.address() as AddressInfo).port}`)
})
