// A broker on servers that the program has already: a TCP server, and the HTTP server of its pages.
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, createServer } from 'node:net'
import { createBroker } from 'haltere'

const broker = await createBroker()

// `handle` takes any Duplex stream and is bound, so it can be a connection listener.
const tcp = createServer(broker.handle)
tcp.listen(Number(process.env.PORT ?? 1883), '127.0.0.1', () => {
  console.log(`mqtt://127.0.0.1:${(tcp.address() as AddressInfo).port}`)
})

// Requests stay the application's; only the upgrade to a WebSocket at /mqtt is the broker's.
const web = createHttpServer((_request, response) => response.end('The pages of the application\n'))
const endpoint = broker.attach(web, { path: '/mqtt' })
web.listen(Number(process.env.HTTP_PORT ?? 8080), '127.0.0.1', () => console.log(endpoint.url))

process.once('SIGTERM', () => {
  tcp.close()
  web.close()
  // Closes every connection, so that the two servers can end too.
  void broker.close().then(() => console.log('closed'))
})
