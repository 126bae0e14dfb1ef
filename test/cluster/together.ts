/** Brokers that share a store and an emitter, in this process. */
import { EventEmitter } from 'node:events'
import { createRequire } from 'node:module'
import { Redis } from 'ioredis'
import mqemitter from 'mqemitter'
import mqemitterRedis from 'mqemitter-redis'
import { Broker } from '../../lib/index.ts'
import type { Emitter, EmitterListener, EmitterMessage } from '../../types/emitter.ts'
import type { BrokerOptions } from '../../types/options.ts'
import type { ConnackPacket } from '../../types/packets.ts'
import type { Persistence, PersistenceBroker } from '../../types/persistence.ts'
import { ack, type ConnectOptions, TestClient } from '../support/client.ts'
import { LeapingClock } from '../support/clock.ts'
import { patienceMs } from '../support/patience.ts'
import { RedisServer } from '../support/redis.ts'

const require = createRequire(import.meta.url)

/** An emitter that can lose what others say on its way to one broker. */
export class LossyEmitter implements Emitter {
  /** As that of mqemitter-redis: its events tell of the connection. */
  readonly state: EventEmitter
  readonly #emitter: Emitter
  readonly #own = new Map<EmitterListener, EmitterListener>()
  /** Whether what comes now gets lost. */
  loses: (message: EmitterMessage) => boolean = () => false

  constructor(emitter: Emitter) {
    this.#emitter = emitter
    const { state } = emitter as { state?: unknown }
    this.state = state instanceof EventEmitter ? state : new EventEmitter()
  }

  on(topic: string, listener: EmitterListener, callback?: () => void): this {
    const own: EmitterListener = (message, done) => {
      if (this.loses(message)) done()
      else listener(message, done)
    }
    this.#own.set(listener, own)
    this.#emitter.on(topic, own, callback)
    return this
  }

  emit(message: EmitterMessage, callback?: (error?: Error | null) => void): void {
    this.#emitter.emit(message, callback)
  }

  removeListener(topic: string, listener: EmitterListener, callback?: () => void): void {
    this.#emitter.removeListener(topic, this.#own.get(listener) ?? listener, callback)
  }

  close(callback: () => void): void {
    this.#emitter.close(callback)
  }
}

/** What brokers share. */
export interface Ground {
  readonly clock: LeapingClock
  persistence(): Persistence
  emitter(): Emitter
  /** Lets go of an emitter. */
  release(emitter: Emitter): void
  end(): Promise<void>
}

/** A store and an emitter within the process. */
export function memoryGround(): Ground {
  const AsyncPersistence = require('aedes-persistence/asyncPersistence.js') as new () => Persistence
  const store = new AsyncPersistence()
  const emitter = mqemitter({ matchEmptyLevels: true })
  const persistence = (): Persistence => {
    const setup = async (broker: PersistenceBroker): Promise<void> => {
      await store.setup(broker)
      // As those do that can be shared.
      await new Promise<void>((resolve) =>
        broker.subscribe(
          '$SYS/sub/+',
          (_, done) => done(),
          () => resolve(),
        ),
      )
    }
    const destroy = async (): Promise<void> => undefined
    return new Proxy(store, {
      get(target, name) {
        if (name === 'setup') return setup
        if (name === 'destroy') return destroy
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  }
  return {
    clock: new LeapingClock(),
    persistence,
    emitter: () => emitter,
    release: () => undefined,
    end: async () => undefined,
  }
}

/** A Redis, with connections of its own for each broker. */
export async function redisGround(): Promise<Ground & { readonly server: RedisServer }> {
  const server = await RedisServer.started()
  const persistence = require('aedes-persistence-redis') as (options: object) => Persistence
  return {
    server,
    clock: new LeapingClock(),
    persistence: () => persistence({ conn: new Redis({ port: server.port }), maxSessionDelivery: 100_000 }),
    emitter: () => mqemitterRedis({ port: server.port }),
    release: (emitter) => {
      const { subConn, pubConn } = emitter as unknown as { subConn: Redis; pubConn: Redis }
      subConn.disconnect()
      pubConn.disconnect()
    },
    end: () => server.remove(),
  }
}

export const lasting: ConnectOptions = { cleanStart: false, properties: { sessionExpiryInterval: 3600 } }

export interface Member {
  readonly broker: Broker
  readonly emitter: LossyEmitter
  readonly errors: Error[]
  open(): TestClient
  client(clientId: string, options?: ConnectOptions): Promise<TestClient>
  resume(clientId: string, options?: ConnectOptions): Promise<{ client: TestClient; connack: ConnackPacket }>
  /** Ends it without a word to the others. */
  fall(): void
}

/** Brokers on one ground. */
export class Together {
  readonly ground: Ground
  readonly members: Member[] = []
  readonly #ends: (() => Promise<void>)[] = []

  constructor(ground: Ground) {
    this.ground = ground
  }

  static async start(ground: Ground, count: number, options: BrokerOptions = {}): Promise<Together> {
    const together = new Together(ground)
    const all = Array.from({ length: count }, () => together.add(options))
    await ground.clock.leap(3000) // Nobody is there who answers the first.
    await Promise.all(all)
    return together
  }

  /** Resolves when it takes connections. */
  async add(options: BrokerOptions = {}): Promise<Member> {
    const { ground } = this
    const inner = ground.emitter()
    const emitter = new LossyEmitter(inner)
    const broker = new Broker({
      sysInterval: false,
      clock: ground.clock,
      persistence: ground.persistence(),
      emitter,
      ...options,
    })
    const errors: Error[] = []
    broker.on('error', (error) => errors.push(error))
    const open = (): TestClient => new TestClient(broker.connect())
    const resume: Member['resume'] = async (clientId, connectOptions = {}) => {
      const client = open()
      const connack = await client.connect(clientId, connectOptions)
      if (connack.reasonCode !== 0) throw new Error(`CONNACK ${connack.reasonCode}`)
      return { client, connack }
    }
    const member: Member = {
      broker,
      emitter,
      errors,
      open,
      resume,
      client: async (clientId, connectOptions) => (await resume(clientId, connectOptions)).client,
      fall: () => {
        emitter.loses = () => true
        emitter.emit = () => undefined
      },
    }
    this.members.push(member)
    this.#ends.push(async () => {
      await broker.close({ graceMs: 0 })
      ground.release(inner)
    })
    await broker.listen({ tcp: 0 })
    return member
  }

  async end(): Promise<void> {
    for (const end of this.#ends) await end()
    await this.ground.end()
  }
}

/** Takes what a Client gets, and acknowledges it. */
export class Taker {
  readonly client: TestClient
  readonly got: string[] = []
  /** Why its connection ended. */
  reasonCode: number | undefined
  /** So many PUBLISH packets are acknowledged. */
  limit: number
  readonly #incoming = new Set<number>()

  constructor(client: TestClient, limit: number = Infinity) {
    this.client = client
    this.limit = limit
    void this.#run().catch(() => undefined)
  }

  async has(count: number): Promise<string[]> {
    await until(() => this.got.length >= count, `${count} messages, ${this.got.length} came`)
    return this.got
  }

  async #run(): Promise<void> {
    for (;;) {
      const packet = this.client.received.shift() ?? (await this.client.receivesAny())
      if (packet.type === 'disconnect') this.reasonCode = packet.reasonCode
      if (packet.type === 'pubrel') this.client.send(ack('pubcomp', packet.packetId))
      if (packet.type === 'pubrel') this.#incoming.delete(packet.packetId)
      if (packet.type !== 'publish' || this.limit <= 0) continue
      this.limit -= 1
      if (!this.#incoming.has(packet.packetId) || packet.qos !== 2) this.got.push(packet.payload.toString())
      if (packet.qos === 1) this.client.send(ack('puback', packet.packetId))
      if (packet.qos !== 2) continue
      this.#incoming.add(packet.packetId)
      this.client.send(ack('pubrec', packet.packetId))
    }
  }
}

/** Waits for what no event tells; rejects when it takes too long. */
export async function until(isSo: () => boolean | Promise<boolean>, what: string): Promise<number> {
  const started = performance.now()
  while (!(await isSo())) {
    if (performance.now() - started > patienceMs) throw new Error(`${what} did not come`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  return performance.now() - started
}
