import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { Broker } from '../../lib/broker.ts'
import { MemoryPersistence } from '../../lib/storage/memory/memory-persistence.ts'
import type { BrokerOptions } from '../../types/options.ts'
import type { ConnackPacket, ProtocolLevel } from '../../types/packets.ts'
import type { PersistedState } from '../../types/persistence.ts'
import { type ConnectOptions, settle, TestClient } from '../support/client.ts'
import { ManualClock, ProcessClock } from '../support/clock.ts'
import { Access, type Commit } from './process.ts'

/** A broker on a machine whose disk and time outlive it: it can be killed and started again. */
export class Machine {
  readonly clock: ManualClock = new ManualClock()
  readonly errors: Error[] = []
  /** `failed` and `recovered`, as they came. */
  readonly events: string[] = []
  broker!: Broker
  readonly #disk = new MemoryPersistence()
  readonly #options: BrokerOptions
  #access!: Access
  #process!: ProcessClock
  #clients: TestClient[] = []

  constructor(options: BrokerOptions = {}) {
    this.#options = options
    this.#start(options)
  }

  #start(options: BrokerOptions): void {
    this.#access = new Access(this.#disk)
    this.#process = new ProcessClock(this.clock)
    const broker = new Broker({ sysInterval: false, ...options, clock: this.#process, persistence: this.#access })
    broker.on('error', (error) => this.errors.push(error))
    broker.on('storeFailed', () => this.events.push('failed'))
    broker.on('storeRecovered', () => this.events.push('recovered'))
    this.broker = broker
  }

  /** Everything that the disk has now. */
  async stored(): Promise<PersistedState[]> {
    const all: PersistedState[] = []
    for await (const state of this.#disk.readAll()) all.push(state)
    return all
  }

  open(level: ProtocolLevel = 5): TestClient {
    const client = new TestClient(this.broker.connect(), level)
    this.#clients.push(client)
    return client
  }

  async resume(
    clientId: string,
    options: ConnectOptions = {},
  ): Promise<{ client: TestClient; connack: ConnackPacket }> {
    const client = this.open(options.level)
    const connack = await client.connect(clientId, options)
    assert.equal(connack.reasonCode, 0)
    return { client, connack }
  }

  /** A connected Client, with a session that stays unless the options say otherwise. */
  async client(clientId: string, options: ConnectOptions = {}): Promise<TestClient> {
    return (await this.resume(clientId, { ...persistent, ...options })).client
  }

  // ─── the end ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The process ends, with all changes that are not stored; after these milliseconds another one starts. */
  async restart(milliseconds = 0, options: BrokerOptions = this.#options): Promise<void> {
    await this.kill()
    this.clock.advance(milliseconds)
    this.#start(options)
  }

  async kill(): Promise<void> {
    this.#access.isDead = true
    this.#process.end()
    for (const client of this.#clients.splice(0)) await client.drop()
    void this.broker.close({ graceMs: 0 }) // For the test's sake: it does nothing that anybody sees.
  }

  /** The process ends as it should. */
  async closeAndRestart(milliseconds = 0, options: BrokerOptions = this.#options): Promise<void> {
    await this.broker.close({ graceMs: 0 })
    this.#process.end()
    this.#clients.length = 0
    this.clock.advance(milliseconds)
    this.#start(options)
  }

  // ─── the store ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** From now on commits wait for `commit`. */
  hold(): void {
    this.#access.isHeld = true
  }

  /** The commit that came, or comes. */
  commit(): Promise<Commit> {
    return this.#access.next()
  }

  /** How many commits wait. */
  get waiting(): number {
    return this.#access.commits.length
  }

  /** Further commits settle at once again. */
  answer(): void {
    this.#access.isHeld = false
  }

  /** Commits settle at once again, also those that wait. */
  async letGo(): Promise<void> {
    this.#access.isHeld = false
    for (const commit of this.#access.commits.splice(0)) await commit.resolve()
    await settle()
  }

  /** Commits reject from now on; without an error they do not any more. */
  fail(error: Error | undefined): void {
    this.#access.failure = error
  }
}

const persistent: ConnectOptions = { cleanStart: false, properties: { sessionExpiryInterval: 0xffff_ffff } }

/** A machine that is switched off at the end of the test. */
export function startMachine(t: TestContext, options: BrokerOptions = {}): Machine {
  const machine = new Machine(options)
  t.after(async () => {
    await machine.kill()
    machine.clock.advance(60_000)
  })
  return machine
}
