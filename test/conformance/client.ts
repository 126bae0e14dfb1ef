/**
 * A Client that sends and expects bytes, not packets, in the notation of notation.ts.
 * It is independent of the codec of the library, so that a fault of the codec cannot hide here.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as openSocket, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { patienceMs } from '../support/patience.ts'
import { match, parseBytes, parsePattern, type Pattern, show } from './notation.ts'

export type Level = 3 | 4 | 5

export interface Will {
  readonly topic: string
  readonly payload?: string
  readonly qos?: 0 | 1 | 2
  readonly retain?: boolean
  /** Will Properties in the notation. */
  readonly properties?: string
}

export interface Connect {
  readonly level?: Level
  readonly id?: string
  readonly clean?: boolean
  readonly keepAlive?: number
  /** Properties in the notation: `11 0000000a` is Session Expiry Interval 10. */
  readonly properties?: string
  readonly will?: Will
  readonly username?: string
  readonly password?: string
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0')
}

/** A CONNECT packet in the notation. */
export function connectPacket(connect: Connect = {}): string {
  const { level = 5, id = 'client', clean = true, keepAlive = 0, properties = '', will, username, password } = connect
  let flags = clean ? 0x02 : 0
  if (will !== undefined) flags |= 0x04 | ((will.qos ?? 0) << 3) | (will.retain === true ? 0x20 : 0)
  if (username !== undefined) flags |= 0x80
  if (password !== undefined) flags |= 0x40
  const parts = [level === 3 ? '"MQIsdp"' : '"MQTT"', hex(level, 2), hex(flags, 2), hex(keepAlive, 4)]
  if (level === 5) parts.push(`[${properties}]`)
  parts.push(`"${id}"`)
  if (will !== undefined) {
    if (level === 5) parts.push(`[${will.properties ?? ''}]`)
    parts.push(`"${will.topic}"`, `"${will.payload ?? 'gone'}"`)
  }
  if (username !== undefined) parts.push(`"${username}"`)
  if (password !== undefined) parts.push(`"${password}"`)
  return `10 [${parts.join(' ')}]`
}

/** Size of a property's value, by identifier: `b` Binary Data or string, `p` pair of strings, `v` Variable Byte Integer. */
const propertySizes: Readonly<Record<number, number | 'b' | 'p' | 'v'>> = {
  0x01: 1,
  0x02: 4,
  0x03: 'b',
  0x08: 'b',
  0x09: 'b',
  0x0b: 'v',
  0x11: 4,
  0x12: 'b',
  0x13: 2,
  0x15: 'b',
  0x16: 'b',
  0x17: 1,
  0x18: 4,
  0x19: 1,
  0x1a: 'b',
  0x1c: 'b',
  0x1f: 'b',
  0x21: 2,
  0x22: 2,
  0x23: 2,
  0x24: 1,
  0x25: 1,
  0x26: 'p',
  0x27: 4,
  0x28: 1,
  0x29: 1,
  0x2a: 1,
}

export interface Length {
  readonly value: number
  readonly size: number
}

/** A Variable Byte Integer, or undefined when more bytes are needed. */
export function readLength(buffer: Buffer, at: number): Length | undefined {
  let value = 0
  for (let size = 1; size <= 4; size += 1) {
    const byte = buffer[at + size - 1]
    if (byte === undefined) return undefined
    value += (byte & 0x7f) * 128 ** (size - 1)
    if (byte < 0x80) {
      assert.ok(size === 1 || byte !== 0, `length in its shortest form, got ${show(buffer.subarray(at, at + size))}`) // [MQTT-1.5.5-1]
      return { value, size }
    }
  }
  throw new assert.AssertionError({ message: `a length of more than 4 bytes: ${show(buffer)}` })
}

export interface Properties {
  /** Each value in hexadecimal digits, without a length in front of a string. */
  readonly values: ReadonlyMap<number, readonly string[]>
  /** Where the Properties end. */
  readonly end: number
}

export function readProperties(packet: Buffer, at: number): Properties {
  const length = readLength(packet, at)
  assert.ok(length !== undefined, `expected a Property Length at ${at} of ${show(packet)}`)
  const end = at + length.size + length.value
  assert.ok(end <= packet.length, `Properties longer than the packet: ${show(packet)}`)
  const values = new Map<number, string[]>()
  let position = at + length.size
  const take = (size: number): string => {
    position += size
    return packet.toString('hex', position - size, position)
  }
  const takeBinary = (): string => {
    const size = packet.readUInt16BE(position)
    position += 2
    return take(size)
  }
  while (position < end) {
    const identifier = packet[position]!
    position += 1
    const size = propertySizes[identifier]
    assert.ok(size !== undefined, `unknown Property 0x${identifier.toString(16)} in ${show(packet)}`)
    let value: string
    if (size === 'b') value = takeBinary()
    else if (size === 'p') value = `${takeBinary()}=${takeBinary()}`
    else if (size === 'v') value = take(readLength(packet, position)!.size)
    else value = take(size)
    values.set(identifier, [...(values.get(identifier) ?? []), value])
  }
  assert.equal(position, end, `Properties end where their length says: ${show(packet)}`)
  return { values, end }
}

export class Client {
  readonly stream: Duplex
  readonly level: Level
  /** The CONNACK of a Client that `connect` made. */
  connack: Buffer = Buffer.alloc(0)
  #unread: Buffer = Buffer.alloc(0)
  readonly #packets: Buffer[] = []
  #ended = false
  #fault: Error | undefined
  #wake: () => void = () => {}

  constructor(stream: Duplex, level: Level = 5) {
    this.stream = stream
    this.level = level
    stream.on('data', (chunk: Buffer) => {
      try {
        this.#read(chunk)
      } catch (error) {
        this.#fault = error as Error
        this.#wake()
      }
    })
    const end = (): void => {
      this.#ended = true
      this.#wake()
    }
    stream.on('end', end).on('close', end).on('error', end)
  }

  #read(chunk: Buffer): void {
    this.#unread = this.#unread.length === 0 ? chunk : Buffer.concat([this.#unread, chunk])
    for (;;) {
      const length = this.#unread.length < 2 ? undefined : readLength(this.#unread, 1)
      if (length === undefined || this.#unread.length < 1 + length.size + length.value) break
      const size = 1 + length.size + length.value
      this.#packets.push(Buffer.from(this.#unread.subarray(0, size)))
      this.#unread = this.#unread.subarray(size)
    }
    this.#wake()
  }

  /** Sends each argument in one write; all of them together when there are several. */
  sends(...notations: readonly (string | Uint8Array)[]): void {
    if (this.stream.writable) this.stream.write(Buffer.concat(notations.map(parseBytes)))
  }

  async #until(question: () => boolean, waitingFor: string): Promise<void> {
    if (this.#fault !== undefined) throw this.#fault
    if (question()) return
    const { promise, resolve, reject } = withResolvers()
    const timer = setTimeout(() => {
      reject(new assert.AssertionError({ message: `nothing came, waiting for ${waitingFor}` }))
    }, patienceMs)
    this.#wake = (): void => {
      if (this.#fault !== undefined) reject(this.#fault)
      else if (question()) resolve()
    }
    try {
      await promise
    } finally {
      clearTimeout(timer)
      this.#wake = () => {}
    }
  }

  async #next(waitingFor: string): Promise<Buffer> {
    await this.#until(() => this.#packets.length > 0 || this.#ended, waitingFor)
    const packet = this.#packets.shift()
    if (packet === undefined) assert.fail(`the connection was closed, waiting for ${waitingFor}`)
    return packet
  }

  /** Returns the next packet of any type. */
  receivesPacket(waitingFor = 'a packet'): Promise<Buffer> {
    return this.#next(waitingFor)
  }

  /** Expects this packet next. Returns the bytes in place of `__`, in hexadecimal digits. */
  async receives(notation: string): Promise<string> {
    return await this.receivesOneOf(notation)
  }

  /** Expects one of these packets next. */
  async receivesOneOf(...notations: readonly string[]): Promise<string> {
    const patterns = notations.map(parsePattern)
    const expected = patterns.map(showPattern).join('\n       or ')
    const packet = await this.#next(expected)
    for (const pattern of patterns) {
      const captured = match(pattern, packet)
      if (captured !== undefined) return captured
    }
    assert.fail(`\n expected ${expected}\n      got ${show(packet)}`)
  }

  /** Expects these packets next, in any order. */
  async receivesInAnyOrder(...notations: readonly string[]): Promise<void> {
    const missing = new Set(notations)
    while (missing.size > 0) {
      const packet = await this.#next([...missing].join(', '))
      const found = [...missing].find((notation) => match(parsePattern(notation), packet) !== undefined)
      if (found === undefined) assert.fail(`\n expected one of ${[...missing].join(', ')}\n got ${show(packet)}`)
      missing.delete(found)
    }
  }

  /** Expects no packet: the next one is the PINGRESP to a PINGREQ. */
  async receivesNothing(): Promise<void> {
    this.sends('c0 00')
    await this.receives('d0 00')
  }

  /** Expects a CONNACK with this Session Present and this Reason Code. */
  async receivesConnack(sessionPresent: 0 | 1 = 0, code = 0): Promise<Properties['values']> {
    const packet = await this.#next('CONNACK')
    assert.equal(packet[0], 0x20, `expected CONNACK, got ${show(packet)}`)
    assert.equal(packet[2], sessionPresent, `expected Session Present ${sessionPresent}, got ${show(packet)}`)
    assert.equal(packet[3], code, `expected code 0x${code.toString(16)}, got ${show(packet)}`)
    this.connack = packet
    if (this.level === 5) return readProperties(packet, 4).values
    assert.equal(packet.length, 4)
    return new Map()
  }

  /** Expects SUBACK or UNSUBACK with these codes. An MQTT 5.0 Server may add a Reason String and User Properties. */
  async receivesCodes(firstByte: 'SUBACK' | 'UNSUBACK', packetId: string, codes: string): Promise<void> {
    const packet = await this.#next(firstByte)
    assert.equal(packet[0], firstByte === 'SUBACK' ? 0x90 : 0xb0, `expected ${firstByte}, got ${show(packet)}`)
    const length = readLength(packet, 1)!
    const start = 1 + length.size
    assert.equal(packet.toString('hex', start, start + 2), packetId, `Packet Identifier of ${show(packet)}`)
    const end = this.level === 5 ? readProperties(packet, start + 2).end : start + 2
    assert.equal(packet.toString('hex', end), codes.replaceAll(' ', ''), `codes of ${show(packet)}`)
  }

  async subscribes(filters: string, codes: string, properties = '', packetId = '0001'): Promise<void> {
    this.sends(`82 [${packetId} ${this.level === 5 ? `[${properties}]` : ''} ${filters}]`)
    await this.receivesCodes('SUBACK', packetId, codes)
  }

  async unsubscribes(filters: string, codes: string, packetId = '0002'): Promise<void> {
    this.sends(`a2 [${packetId} ${this.level === 5 ? '[]' : ''} ${filters}]`)
    await this.receivesCodes('UNSUBACK', packetId, this.level === 5 ? codes : '')
  }

  /** Expects an acknowledgement with one of these Reason Codes; success may leave the code out. */
  async receivesAcknowledgement(firstByte: string, packetId: string, ...codes: readonly number[]): Promise<number> {
    const allowed = codes.length === 0 ? [0x00, 0x10] : codes
    const packet = await this.#next(`${firstByte} ${packetId}`)
    const problem = `expected ${firstByte} for ${packetId} with one of ${allowed.map(hexByte).join(', ')}, got ${show(packet)}`
    assert.equal(packet[0], Number.parseInt(firstByte, 16), problem)
    assert.equal(packet.toString('hex', 2, 4), packetId, problem)
    if (this.level !== 5) assert.equal(packet.length, 4, problem)
    const code = packet.length > 4 ? packet[4]! : 0
    assert.ok(this.level !== 5 || allowed.includes(code), problem)
    if (packet.length > 5) readProperties(packet, 5)
    return code
  }

  /** Publishes a message and completes the exchange of its QoS. */
  async publishes(
    topic: string,
    payload: string,
    options: { qos?: 0 | 1 | 2; retain?: boolean; properties?: string; packetId?: string } = {},
  ): Promise<void> {
    const { qos = 1, retain = false, properties = '', packetId = '0009' } = options
    const first = (0x30 | (qos << 1) | (retain ? 1 : 0)).toString(16)
    this.sends(
      `${first} ["${topic}" ${qos > 0 ? packetId : ''} ${this.level === 5 ? `[${properties}]` : ''} '${payload}']`,
    )
    if (qos === 0) await this.receivesNothing()
    if (qos === 1) await this.receivesAcknowledgement('40', packetId)
    if (qos === 2) {
      await this.receivesAcknowledgement('50', packetId)
      this.sends(`62 02 ${packetId}`)
      await this.receivesAcknowledgement('70', packetId, 0)
    }
  }

  /** Expects the Server to close the connection. Returns the packets before. */
  async isClosed(): Promise<Buffer[]> {
    await this.#until(() => this.#ended, 'the end of the connection')
    assert.equal(this.#unread.length, 0, `half a packet before the end: ${show(this.#unread)}`)
    const rest = this.#packets.splice(0)
    this.stream.destroy()
    return rest
  }

  /**
   * Expects the Server to close after an error. In MQTT 5.0 it may first send a DISCONNECT with one of these Reason
   * Codes; in MQTT 3 a Server has no DISCONNECT.
   */
  async isDisconnected(...codes: readonly number[]): Promise<number | undefined> {
    const packets = await this.isClosed()
    const [packet] = packets
    if (packet === undefined) return undefined
    const problem = `expected the end of the connection${this.level === 5 ? ` or DISCONNECT with ${codes.map(hexByte).join(' or ')}` : ''}, got ${packets.map(show).join(' and ')}`
    assert.equal(packets.length, 1, problem)
    assert.equal(this.level, 5, problem)
    assert.equal(packet[0], 0xe0, problem)
    const code = packet.length > 2 ? packet[2]! : 0
    assert.ok(codes.includes(code), problem)
    if (packet.length > 3) assert.ok(!readProperties(packet, 3).values.has(0x11), problem) // [MQTT-3.14.2-2]
    return code
  }

  /** Expects the Server to refuse CONNECT and close. It may first send a CONNACK with one of these codes. */
  async isRefused(...codes: readonly number[]): Promise<number | undefined> {
    const packets = await this.isClosed()
    const [packet] = packets
    if (packet === undefined) return undefined
    const problem = `expected the end of the connection${codes.length > 0 ? ` or CONNACK with ${codes.map(hexByte).join(' or ')}` : ''}, got ${packets.map(show).join(' and ')}`
    assert.equal(packets.length, 1, problem)
    assert.equal(packet[0], 0x20, problem)
    assert.equal(packet[2], 0, `Session Present: ${problem}`) // [MQTT-3.2.2-6]
    assert.ok(codes.includes(packet[3]!), problem)
    return packet[3]
  }

  /** Sends DISCONNECT with Normal disconnection and waits until the Server has processed it. */
  async disconnects(): Promise<void> {
    this.sends('e0 00')
    await this.isClosed()
  }

  /** Closes the connection without DISCONNECT. */
  async drops(how: 'end' | 'reset' = 'end'): Promise<void> {
    const closed = once(this.stream, 'close')
    if (how === 'reset' && 'resetAndDestroy' in this.stream) (this.stream as Socket).resetAndDestroy()
    else {
      this.stream.end()
      // The Server also ends its side, which shows that it has noticed the end.
      await this.#until(() => this.#ended, 'the end of the connection')
      this.stream.destroy()
    }
    await closed
  }
}

function hexByte(value: number): string {
  return `0x${hex(value, 2)}`
}

function showPattern({ data, any }: Pattern): string {
  const text = show(data)
  if (any.size === 0) return text
  const digits = text.slice(0, text.indexOf('  |')).split(' ')
  return digits.map((byte, position) => (any.has(position) ? '__' : byte)).join(' ')
}

function withResolvers(): { promise: Promise<void>; resolve: () => void; reject: (error: Error) => void } {
  let resolve!: () => void
  let reject!: (error: Error) => void
  const promise = new Promise<void>((onResolve, onReject) => {
    resolve = onResolve
    reject = onReject
  })
  return { promise, resolve, reject }
}

export async function openConnection(host: string, port: number, level: Level = 5): Promise<Client> {
  const socket = openSocket({ host, port, noDelay: true, allowHalfOpen: true })
  await once(socket, 'connect')
  return new Client(socket, level)
}
