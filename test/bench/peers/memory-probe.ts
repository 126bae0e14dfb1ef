/**
 * Loaded into a broker's process before the broker. It sends each connection the number of bytes in use after a garbage
 * collection. `node --expose-gc --import memory-probe.js cli.js`
 */
import { createServer } from 'node:net'

const collect = (globalThis as { gc?: () => void }).gc

const server = createServer((socket) => {
  socket.on('error', () => socket.destroy())
  // An object that one collection frees may have retained another object.
  for (let times = 0; times < 4; times += 1) collect?.()
  const { heapUsed, external } = process.memoryUsage()
  socket.end(String(heapUsed + external))
})
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  if (typeof address === 'object') console.log(`listening memory://127.0.0.1:${address?.port}`)
})
server.unref()
