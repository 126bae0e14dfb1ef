// aedes with its defaults, over TCP and WebSocket. It prints its addresses in the format of the haltere command.
import { createServer as createHttpServer } from 'node:http'
import { createServer } from 'node:net'
import { Aedes } from 'aedes'
import { createWebSocketStream, WebSocketServer } from 'ws'

const broker = await Aedes.createBroker()
const tcp = createServer({ noDelay: true }, (socket) => broker.handle(socket))
const http = createHttpServer()
const webSocket = new WebSocketServer({ server: http, handleProtocols: () => 'mqtt' })
webSocket.on('connection', (socket, request) => broker.handle(createWebSocketStream(socket), request))
http.listen(0, '127.0.0.1', () => console.log(`listening ws://127.0.0.1:${http.address().port}`))
tcp.listen(0, '127.0.0.1', 4096, () => console.log(`listening mqtt://127.0.0.1:${tcp.address().port}`))
