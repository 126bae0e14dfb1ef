import assert from 'node:assert/strict'
import type { Duplex } from 'node:stream'
import type { TestContext } from 'node:test'
import { Broker } from '../../lib/broker.ts'
import { Decoder } from '../../lib/packets/decoder.ts'
import { encode } from '../../lib/packets/encoder.ts'
import { MemoryPersistence } from '../../lib/storage/memory/memory-persistence.ts'
import type { BrokerOptions } from '../../types/options.ts'
import type {
  ConnackPacket,
  ConnectPacket,
  Packet,
  PacketType,
  ProtocolLevel,
  PublishPacket,
  QoS,
  SubscriptionRequest,
  Will,
} from '../../types/packets.ts'
import type {
  ConnectProperties,
  PublishProperties,
  SubscribeProperties,
  WillProperties,
} from '../../types/properties.ts'
import { patienceMs } from './patience.ts'
import { bytes } from './wire.ts'
import { ManualClock } from './clock.ts'

export const levels = [3, 4, 5] as const

/** What is said in CONNECT. */
export interface ConnectOptions {
  readonly level?: ProtocolLevel
  readonly cleanStart?: boolean
  readonly keepAlive?: number
  readonly will?: Will
  readonly username?: string
  readonly password?: string
  readonly properties?: ConnectProperties
}

export interface PublishOptions {
  readonly qos?: QoS
  readonly retain?: boolean
  readonly dup?: boolean
  readonly packetId?: number
  readonly properties?: PublishProperties
}

export interface FilterOptions {
  readonly qos?: QoS
  readonly noLocal?: boolean
  readonly retainAsPublished?: boolean
  readonly retainHandling?: 0 | 1 | 2
}

export function connectPacket(clientId: string, options: ConnectOptions = {}): ConnectPacket {
  return {
    type: 'connect',
    protocolLevel: options.level ?? 5,
    cleanStart: options.cleanStart ?? true,
    keepAlive: options.keepAlive ?? 0,
    clientId,
    will: options.will,
    username: options.username,
    password: options.password === undefined ? undefined : Buffer.from(options.password),
    properties: options.properties,
  }
}

export function publishPacket(topic: string, payload: string | Buffer, options: PublishOptions = {}): PublishPacket {
  return {
    type: 'publish',
    topic,
    payload: Buffer.from(payload as string),
    qos: options.qos ?? 0,
    retain: options.retain ?? false,
    dup: options.dup ?? false,
    packetId: options.packetId ?? 0,
    properties: options.properties,
  }
}

export function filter(topicFilter: string, options: FilterOptions = {}): SubscriptionRequest {
  return {
    topicFilter,
    qos: options.qos ?? 0,
    noLocal: options.noLocal ?? false,
    retainAsPublished: options.retainAsPublished ?? false,
    retainHandling: options.retainHandling ?? 0,
  }
}

export function will(
  topic: string,
  payload: string,
  options: { qos?: QoS; retain?: boolean; properties?: WillProperties } = {},
): Will {
  return {
    topic,
    payload: Buffer.from(payload),
    qos: options.qos ?? 0,
    retain: options.retain ?? false,
    properties: options.properties,
  }
}

/** Lets everything happen that needs no time. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 8; turn += 1) await new Promise((resolve) => setImmediate(resolve))
}

type Taken = Packet | 'closed'

/**
 * The Client's side of a connection: packets out, packets in, and bytes that are no packets when a test wants them.
 * Others have a reason to be: `bad-input/raw-client` reads without the decoder of the broker, `durability/persistent-client`
 * comes back by itself and keeps a ledger, those of the conformance tests and of the bench are independent of `lib`.
 */
export class TestClient {
  readonly stream: Duplex
  level: ProtocolLevel
  /** What came and was not taken. */
  readonly received: Packet[] = []
  /** Resolves when the stream is closed. */
  readonly closed: Promise<void>
  isClosed = false
  /** What was wrong with the bytes that came. */
  fault: Error | undefined
  packetId = 0
  readonly #decoder: Decoder
  #waiting: ((taken: Taken) => void)[] = []

  constructor(stream: Duplex, level: ProtocolLevel = 5) {
    this.stream = stream
    this.level = level
    this.#decoder = new Decoder({ protocolLevel: level })
    stream.on('error', () => undefined)
    stream.on('data', (chunk: Buffer) => {
      try {
        this.#decoder.push(chunk)
        for (let packet = this.#decoder.next(); packet !== undefined; packet = this.#decoder.next()) this.took(packet)
      } catch (error) {
        this.fault = error as Error // What no broker may send.
        stream.destroy()
      }
    })
    this.closed = new Promise((resolve) => {
      stream.once('close', () => {
        this.isClosed = true
        for (const waiting of this.#waiting) waiting('closed')
        this.#waiting = []
        resolve()
      })
    })
  }

  /** A packet came. */
  protected took(packet: Packet): void {
    const waiting = this.#waiting.shift()
    if (waiting === undefined) this.received.push(packet)
    else waiting(packet)
  }

  /** Bytes, or the notation of `wire.ts`. */
  write(notation: Buffer | string): void {
    this.stream.write(typeof notation === 'string' ? bytes(notation, this.level) : notation)
  }

  send(...packets: Packet[]): void {
    this.write(Buffer.concat(packets.map((packet) => encode(packet, this.level))))
  }

  async #next(what: string): Promise<Taken> {
    const known = this.received.shift()
    if (known !== undefined) return known
    if (this.fault !== undefined) throw this.fault
    if (this.isClosed) return 'closed'
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      // Not to wait for something, but to say what a test that hangs was waiting for.
      timer = setTimeout(() => reject(new Error(`${what} did not come`)), patienceMs)
    })
    try {
      const taken = await Promise.race([new Promise<Taken>((resolve) => this.#waiting.push(resolve)), late])
      if (this.fault !== undefined) throw this.fault
      return taken
    } finally {
      clearTimeout(timer)
    }
  }

  /** The next packet, which must be of this type. */
  async receives<Type extends PacketType>(type: Type): Promise<Extract<Packet, { type: Type }>> {
    const packet = await this.#next(type)
    if (packet === 'closed') assert.fail(`the connection was closed instead of ${type}`)
    if (packet.type !== type) assert.fail(`${JSON.stringify(packet)} came instead of ${type}`)
    return packet as Extract<Packet, { type: Type }>
  }

  /** The next packet, of whatever type. */
  async receivesAny(): Promise<Packet> {
    const packet = await this.#next('a packet')
    if (packet === 'closed') assert.fail('the connection was closed')
    return packet
  }

  /** The payload of the next packet, a PUBLISH, which is acknowledged as far as it needs to be. */
  async message(): Promise<string> {
    const packet = await this.receives('publish')
    await this.acknowledge(packet)
    return packet.payload.toString()
  }

  async acknowledge({ qos, packetId }: PublishPacket): Promise<void> {
    if (qos === 1) this.send(ack('puback', packetId))
    if (qos === 2) {
      this.send(ack('pubrec', packetId))
      assert.equal((await this.receives('pubrel')).packetId, packetId)
      this.send(ack('pubcomp', packetId))
    }
  }

  /** Nothing more came than what was taken; the broker answers a PINGREQ next. */
  async quiet(): Promise<void> {
    this.send({ type: 'pingreq' })
    await this.receives('pingresp')
  }

  /** The broker ends the connection without a further packet. */
  async ended(): Promise<void> {
    const packet = await this.#next('the end of the connection')
    assert.equal(packet, 'closed', `${JSON.stringify(packet)} came instead of the end`)
  }

  /** The broker ends the connection, with this Reason Code where the version has one. */
  async endedWith(reasonCode: number): Promise<void> {
    if (this.level === 5) assert.equal((await this.receives('disconnect')).reasonCode, reasonCode)
    await this.ended()
  }

  connect(clientId: string, options: ConnectOptions = {}): Promise<ConnackPacket> {
    this.send(connectPacket(clientId, { level: this.level, ...options }))
    return this.receives('connack')
  }

  nextPacketId(): number {
    this.packetId += 1
    return this.packetId
  }

  /** The Reason Codes of the SUBACK. */
  async subscribe(
    filters: string | readonly SubscriptionRequest[],
    options: FilterOptions = {},
    properties?: SubscribeProperties,
  ): Promise<readonly number[]> {
    const packetId = this.nextPacketId()
    const subscriptions = typeof filters === 'string' ? [filter(filters, options)] : filters
    this.send({ type: 'subscribe', packetId, subscriptions, properties })
    const suback = await this.receives('suback')
    assert.equal(suback.packetId, packetId)
    return suback.reasonCodes
  }

  async unsubscribe(...topicFilters: string[]): Promise<readonly number[]> {
    this.send({ type: 'unsubscribe', packetId: this.nextPacketId(), topicFilters, properties: undefined })
    return (await this.receives('unsuback')).reasonCodes
  }

  /** Publishes, and answers with the Reason Code of the acknowledgement: 0 at QoS 0. */
  async publish(topic: string, payload: string, options: PublishOptions = {}): Promise<number> {
    const qos = options.qos ?? 0
    const packetId = qos === 0 ? 0 : (options.packetId ?? this.nextPacketId())
    this.send(publishPacket(topic, payload, { ...options, packetId }))
    if (qos === 0) return 0
    if (qos === 1) return (await this.receives('puback')).reasonCode
    const { reasonCode } = await this.receives('pubrec')
    if (reasonCode >= 0x80) return reasonCode
    this.send(ack('pubrel', packetId))
    await this.receives('pubcomp')
    return reasonCode
  }

  /** Says goodbye and waits for the end. */
  async disconnect(reasonCode = 0, sessionExpiryInterval?: number): Promise<void> {
    this.send({
      type: 'disconnect',
      reasonCode,
      properties: sessionExpiryInterval === undefined ? undefined : { sessionExpiryInterval },
    })
    this.stream.end()
    await this.closed
  }

  /** The network is gone. */
  async drop(): Promise<void> {
    this.stream.destroy()
    await this.closed
    await settle()
  }
}

export function ack(
  type: 'puback' | 'pubrec' | 'pubrel' | 'pubcomp',
  packetId: number,
  reasonCode = 0,
): Extract<Packet, { type: 'puback' | 'pubrec' | 'pubrel' | 'pubcomp' }> {
  return { type, packetId, reasonCode, properties: undefined }
}

/** A broker and what a test needs around it. */
export interface Setting {
  readonly broker: Broker
  readonly clock: ManualClock
  /** What the broker emitted as `error`. */
  readonly errors: Error[]
  /** A stream to the broker on which nothing was said. */
  readonly open: (level?: ProtocolLevel) => TestClient
  /** A Client that was let in. */
  readonly client: (clientId: string, options?: ConnectOptions) => Promise<TestClient>
  /** As `client`, with what the CONNACK said. */
  readonly resume: (
    clientId: string,
    options?: ConnectOptions,
  ) => Promise<{ client: TestClient; connack: ConnackPacket }>
}

/** Waits until a broker is closed, with time for hooks that do not return. */
export async function closing(closed: Promise<void>, clock: ManualClock): Promise<void> {
  for (;;) {
    if (await Promise.race([closed.then(() => true), settle()])) return
    clock.advance(1000)
  }
}

/** A broker with a time of its own that is closed at the end of the test. */
export function start(t: TestContext, options: BrokerOptions = {}): Setting {
  const clock = new ManualClock()
  const errors: Error[] = []
  // What holds without a store holds with one.
  const persistence = process.env.TEST_STORE === 'memory' ? new MemoryPersistence() : undefined
  const broker = new Broker({ sysInterval: false, clock, ...(persistence && { persistence }), ...options })
  broker.on('error', (error) => errors.push(error))
  t.after(async () => {
    const wait = setInterval(() => undefined, 1000) // A process does not end in the middle of a test.
    await closing(broker.close({ graceMs: 0 }), clock)
    clearInterval(wait)
  })
  const open = (level: ProtocolLevel = 5): TestClient => new TestClient(broker.connect(), level)
  const resume: Setting['resume'] = async (clientId, connectOptions = {}) => {
    const client = open(connectOptions.level)
    const connack = await client.connect(clientId, connectOptions)
    assert.equal(connack.reasonCode, 0)
    return { client, connack }
  }
  const client: Setting['client'] = async (clientId, connectOptions) => (await resume(clientId, connectOptions)).client
  return { broker, clock, errors, open, client, resume }
}

/** A promise with its two ends outside. */
export function deferred<T = void>(): {
  promise: Promise<T>
  resolve(value: T): void
  reject(error: unknown): void
} {
  let resolve!: (value: T) => void
  let reject!: (error: unknown) => void
  const promise = new Promise<T>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}

/** What happens to a promise that nobody waits for. */
export function unhandled(t: TestContext): unknown[] {
  const reasons: unknown[] = []
  const listener = (reason: unknown): void => void reasons.push(reason)
  process.on('unhandledRejection', listener)
  t.after(() => process.off('unhandledRejection', listener))
  return reasons
}
