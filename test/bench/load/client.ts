/** An MQTT connection of a load generator: a raw socket, packets encoded in advance, replies counted at byte level. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { PacketReader } from './packet-reader.ts'
import { connectPacket, DISCONNECT, type Qos, subscribePacket, type Version } from './packets.ts'
import { FrameReader, frame, handshake } from './web-socket.ts'

export interface ClientOptions {
  readonly port: number
  readonly clientId: string
  readonly version?: Version
  readonly cleanStart?: boolean
  readonly webSocket?: boolean
  /** Set if messages of a session may arrive with CONNACK. */
  readonly onMessage?: Client['onMessage']
}

// All sockets share one read buffer and one buffer for replies, because reads happen one after the other.
const input = Buffer.allocUnsafeSlow(256 * 1024)
const answers = Buffer.allocUnsafeSlow(1024 * 1024)
const TIMEOUT_MS = 10_000

export class Client {
  readonly clientId: string
  readonly version: Version
  /** Topic Alias Maximum of the broker. */
  topicAliasMaximum = 0
  /** Number of PUBACK and PUBCOMP packets so far. */
  acknowledged = 0
  pings = 0
  closed = false
  /** Called for each PUBLISH with the position of its payload. */
  onMessage: (bytes: Buffer, payload: number) => void = () => {}
  /** Called when all packets of a chunk are counted, before the replies are sent. */
  onChunk: () => void = () => {}
  onClose: (why: string) => void = () => {}
  #socket: Socket
  readonly #isWebSocket: boolean
  readonly #reader = new PacketReader((bytes, start, body) => this.#take(bytes, start, body))
  readonly #frames = new FrameReader((bytes, start, end) => this.#reader.read(bytes, start, end))
  #handshake = ''
  #answersLength = 0
  #nextPacketId = 0
  #waiting: { type: number; resolve: (body: Buffer) => void } | undefined

  private constructor(options: ClientOptions) {
    this.clientId = options.clientId
    this.version = options.version ?? 4
    this.#isWebSocket = options.webSocket === true
    if (options.onMessage !== undefined) this.onMessage = options.onMessage
    const onread = { buffer: input, callback: (length: number) => this.#read(length) }
    this.#socket = connect({ port: options.port, host: '127.0.0.1', noDelay: true, onread })
    this.#socket.on('error', (error) => this.onClose(error.message))
    this.#socket.on('close', () => {
      this.closed = true
      this.onClose('closed by the broker')
    })
  }

  /** Resolves with CONNACK. */
  static async connect(options: ClientOptions): Promise<Client> {
    const client = new Client(options)
    await within(once(client.#socket, 'connect'), 'no connection')
    if (client.#isWebSocket) {
      const upgraded = client.#answer(0)
      client.#socket.write(handshake(options.port))
      await upgraded
    }
    const connack = client.#answer(2)
    client.write(connectPacket(options.clientId, client.version, options.cleanStart ?? true))
    const body = await connack
    if (body[1] !== 0) throw new Error(`CONNACK with code ${body[1]}`)
    if (client.version === 5) client.topicAliasMaximum = topicAliasMaximumOf(body)
    return client
  }

  /** Writes bytes; the caller must not change their buffer until the broker has replied. */
  write(bytes: Uint8Array): boolean {
    return this.#socket.write(this.#isWebSocket ? frame(bytes) : bytes)
  }

  get needsDrain(): boolean {
    return this.#socket.writableNeedDrain
  }

  onDrain(listener: () => void): void {
    this.#socket.on('drain', listener)
  }

  async subscribe(filters: readonly string[], qos: Qos): Promise<void> {
    this.#nextPacketId = (this.#nextPacketId % 65_535) + 1
    const suback = this.#answer(9)
    this.write(subscribePacket(this.#nextPacketId, filters, qos, this.version))
    const body = await suback
    if (body.at(-1)! >= 0x80) throw new Error(`SUBACK with code ${body.at(-1)}`)
  }

  /** Stops reading, like a program that hangs. */
  freeze(): void {
    this.#socket.pause()
  }

  disconnect(): void {
    this.onClose = () => {}
    this.#socket.end(this.#isWebSocket ? frame(DISCONNECT) : DISCONNECT)
  }

  destroy(): void {
    this.onClose = () => {}
    this.#socket.destroy()
  }

  #answer(type: number): Promise<Buffer> {
    const answered = new Promise<Buffer>((resolve, reject) => {
      this.#waiting = { type, resolve }
      this.onClose = (why) => reject(new Error(`${why} while waiting for packet type ${type}`))
    })
    return within(answered, `no packet of type ${type}`)
  }

  #resolve(type: number, body: Buffer): void {
    if (this.#waiting?.type !== type) return
    const { resolve } = this.#waiting
    this.#waiting = undefined
    resolve(body)
  }

  #read(length: number): boolean {
    if (this.#isWebSocket) this.#readFrames(length)
    else this.#reader.read(input, 0, length)
    this.onChunk()
    if (this.#answersLength > 0) {
      this.write(Buffer.from(answers.subarray(0, this.#answersLength)))
      this.#answersLength = 0
    }
    return true
  }

  #readFrames(length: number): void {
    if (this.#handshake.endsWith('\r\n\r\n')) return this.#frames.read(input, 0, length)
    for (let offset = 0; offset < length; offset += 1) {
      this.#handshake += String.fromCharCode(input[offset]!)
      if (!this.#handshake.endsWith('\r\n\r\n')) continue
      if (!this.#handshake.includes(' 101 ')) this.onClose(this.#handshake.slice(0, 40))
      this.#resolve(0, input)
      return this.#frames.read(input, offset + 1, length)
    }
  }

  #take(bytes: Buffer, start: number, body: number): void {
    const first = bytes[start]!
    switch (first >> 4) {
      case 3:
        return this.#publish(bytes, body, (first >> 1) & 3)
      case 4: // PUBACK
      case 7: // PUBCOMP
        this.acknowledged += 1
        return
      case 5: // PUBREC: PUBREL
        return this.#gather(0x62, bytes, body)
      case 6: // PUBREL: PUBCOMP
        return this.#gather(0x70, bytes, body)
      case 13:
        this.pings += 1
        return
      default:
        this.#resolve(first >> 4, Buffer.from(bytes.subarray(body, body + bytes[start + 1]!)))
    }
  }

  #publish(bytes: Buffer, body: number, qos: number): void {
    let offset = body + 2 + ((bytes[body]! << 8) | bytes[body + 1]!)
    if (qos > 0) {
      this.#gather(qos === 1 ? 0x40 : 0x50, bytes, offset)
      offset += 2
    }
    if (this.version === 5) offset += 1 + bytes[offset]! // The Properties of our packets are shorter than 128 bytes.
    this.onMessage(bytes, offset)
  }

  #gather(first: number, bytes: Buffer, identifier: number): void {
    answers[this.#answersLength++] = first
    answers[this.#answersLength++] = 2
    answers[this.#answersLength++] = bytes[identifier]!
    answers[this.#answersLength++] = bytes[identifier + 1]!
  }
}

async function within<T>(promise: Promise<T>, why: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${why} within ${TIMEOUT_MS} ms`)), TIMEOUT_MS)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Reads one Property of a CONNACK (section 3.2.2.3). */
function topicAliasMaximumOf(body: Buffer): number {
  const fixed: Record<number, number> = {
    0x11: 4,
    0x21: 2,
    0x24: 1,
    0x25: 1,
    0x27: 4,
    0x28: 1,
    0x29: 1,
    0x2a: 1,
    0x13: 2,
  }
  for (let offset = 3; offset < body.length; ) {
    const identifier = body[offset]!
    if (identifier === 0x22) return body.readUInt16BE(offset + 1)
    offset += 1
    const size = fixed[identifier]
    if (size !== undefined) offset += size
    else
      for (let strings = identifier === 0x26 ? 2 : 1; strings > 0; strings -= 1) offset += 2 + body.readUInt16BE(offset)
  }
  return 0
}

/** Connects many clients, 50 at a time. */
export async function connectAll(count: number, optionsOf: (index: number) => ClientOptions): Promise<Client[]> {
  const clients: Client[] = []
  for (let from = 0; from < count; from += 50) {
    const size = Math.min(50, count - from)
    const indexes = Array.from({ length: size }, (_, index) => from + index)
    clients.push(...(await Promise.all(indexes.map((index) => Client.connect(optionsOf(index))))))
  }
  return clients
}
