/**
 * The lower bound: a relay with as little of MQTT as the works allow. It reads fixed headers and Topic Names, forwards
 * the bytes of a PUBLISH unchanged to subscribers of exactly that name, and writes once per connection and turn.
 * A broker on Node costs at least this; the load generator must cost less.
 */
import { createServer, type Socket } from 'node:net'

const OK_CONNACK = Buffer.from([0x20, 2, 0, 0])
const PINGRESP = Buffer.from([0xd0, 0])
const subscribers = new Map<string, Connection[]>()
const waiting: Connection[] = []

function flushAll(): void {
  for (const connection of waiting) connection.flush()
  waiting.length = 0
}

class Connection {
  readonly #socket: Socket
  #output = Buffer.allocUnsafe(4096)
  #outputLength = 0
  /** Buffer for the whole of an incomplete packet. */
  #rest: Buffer | undefined
  #restLength = 0
  #name = ''

  constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk) => this.#read(chunk))
    socket.on('error', () => socket.destroy())
    socket.on('close', () => {
      const others = subscribers.get(this.#name)?.filter((other) => other !== this)
      if (others !== undefined) subscribers.set(this.#name, others)
    })
  }

  send(bytes: Buffer, start: number, end: number): void {
    const length = this.#outputLength + end - start
    if (length > this.#output.length) {
      const larger = Buffer.allocUnsafe(length * 2)
      this.#output.copy(larger, 0, 0, this.#outputLength)
      this.#output = larger
    }
    if (this.#outputLength === 0 && waiting.push(this) === 1) setImmediate(flushAll)
    bytes.copy(this.#output, this.#outputLength, start, end)
    this.#outputLength = length
  }

  flush(): void {
    this.#socket.write(Buffer.from(this.#output.subarray(0, this.#outputLength)))
    this.#outputLength = 0
  }

  #read(chunk: Buffer): void {
    let bytes = chunk
    if (this.#rest !== undefined) {
      if (this.#restLength + chunk.length <= this.#rest.length) {
        this.#restLength += chunk.copy(this.#rest, this.#restLength)
        if (this.#restLength < this.#rest.length) return
        bytes = this.#rest
      } else bytes = Buffer.concat([this.#rest.subarray(0, this.#restLength), chunk])
      this.#rest = undefined
    }
    let start = 0
    let missing = 0
    while (start < bytes.length) {
      let body = start + 1
      let length = 0
      let last = 128
      for (let shift = 0; body < bytes.length && last > 127; shift += 7) {
        last = bytes[body++]!
        length += (last & 127) << shift
      }
      missing = last > 127 ? 1 : body + length - bytes.length
      if (missing > 0) break
      this.#packet(bytes, start, body, body + length)
      start = body + length
    }
    if (start === bytes.length) return
    this.#rest = Buffer.allocUnsafe(bytes.length - start + missing)
    this.#restLength = bytes.copy(this.#rest, 0, start)
  }

  #packet(bytes: Buffer, start: number, body: number, end: number): void {
    const first = bytes[start]!
    switch (first >> 4) {
      case 1:
        return this.send(OK_CONNACK, 0, 4)
      case 3:
        return this.#publish(bytes, start, body, end, (first >> 1) & 3)
      case 5:
        return this.#answer(0x62, bytes, body) // PUBREC: PUBREL
      case 6:
        return this.#answer(0x70, bytes, body) // PUBREL: PUBCOMP
      case 8:
        return this.#subscribe(bytes, body)
      case 12:
        return this.send(PINGRESP, 0, 2)
      case 14:
        this.#socket.end()
    }
  }

  #publish(bytes: Buffer, start: number, body: number, end: number, qos: number): void {
    const topicEnd = body + 2 + bytes.readUInt16BE(body)
    if (qos > 0) this.#answer(qos === 1 ? 0x40 : 0x50, bytes, topicEnd)
    const receivers = subscribers.get(bytes.toString('latin1', body + 2, topicEnd))
    if (receivers !== undefined) for (const receiver of receivers) receiver.send(bytes, start, end)
  }

  #answer(first: number, bytes: Buffer, identifier: number): void {
    this.send(Buffer.from([first, 2, bytes[identifier]!, bytes[identifier + 1]!]), 0, 4)
  }

  #subscribe(bytes: Buffer, body: number): void {
    const end = body + 4 + bytes.readUInt16BE(body + 2)
    this.#name = bytes.toString('latin1', body + 4, end)
    subscribers.set(this.#name, [...(subscribers.get(this.#name) ?? []), this])
    this.send(Buffer.from([0x90, 3, bytes[body]!, bytes[body + 1]!, bytes[end]!]), 0, 5)
  }
}

const server = createServer({ noDelay: true }, (socket) => new Connection(socket))
server.listen(0, '127.0.0.1', 4096, () => {
  const address = server.address()
  if (typeof address === 'object') console.log(`listening mqtt://127.0.0.1:${address?.port}`)
})
