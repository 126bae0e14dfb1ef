/** a store that fails at any step of any exchange. What was promised holds, and the rest of the broker goes on. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { suite, test, type TestContext } from 'node:test'
import type { Broker } from '../../lib/index.ts'
import type { ConnackPacket, ProtocolLevel } from '../../types/packets.ts'
import { type ConnectOptions, TestClient, will } from '../support/client.ts'
import { Random } from '../fuzz/random.ts'
import { patienceMs } from '../support/patience.ts'
import { quickFolder } from '../support/quick-folder.ts'
import { isLong } from '../support/length.ts'
import { Faults, type FaultKind, faulty } from './faulty-persistence.ts'
import { Ledger, summary } from './ledger.ts'
import { Publisher } from './publisher.ts'
import { aedesMemory, brokerWith, openLog } from './stores.ts'
import { Subscriber } from './subscriber.ts'

type StoreKind = 'log' | 'aedes-persistence'

const forEver = 100_000

/** A broker over a store that fails when it is told to. */
class Site {
  readonly faults: Faults = new Faults()
  readonly level: ProtocolLevel
  readonly errors: Error[] = []
  broker!: Broker
  readonly #kind: StoreKind
  readonly #folder: string = mkdtempSync(join(quickFolder, 'haltere-faults-'))
  #ends: (() => unknown)[] = []

  constructor(kind: StoreKind, level: ProtocolLevel) {
    this.#kind = kind
    this.level = level
    this.#open()
  }

  #open(): void {
    const store = this.#kind === 'log' ? openLog(this.#folder) : aedesMemory()
    this.broker = brokerWith(faulty(store, this.faults), patienceMs)
    this.broker.on('error', (error: Error) => this.errors.push(error))
  }

  /** False when there is no store that would outlive the broker. */
  get canReopen(): boolean {
    return this.#kind === 'log'
  }

  async reopen(): Promise<void> {
    await this.broker.close({ graceMs: 0 })
    this.#open()
  }

  /** Does this at the end. */
  after(end: () => unknown): void {
    this.#ends.push(end)
  }

  async end(): Promise<void> {
    this.faults.disarm()
    for (const end of this.#ends) await end()
    await this.broker.close({ graceMs: 0 })
    rmSync(this.#folder, { recursive: true, force: true })
  }

  client(level: ProtocolLevel = this.level): TestClient {
    const client = new TestClient(this.broker.connect(), level)
    this.after(() => client.stream.destroy())
    return client
  }

  /** Throws when it is refused. */
  async connect(
    clientId: string,
    options: ConnectOptions = {},
  ): Promise<{ client: TestClient; connack: ConnackPacket }> {
    const client = this.client()
    const keep = this.level === 5 && { properties: { sessionExpiryInterval: forEver } }
    const connack = await client.connect(clientId, { cleanStart: false, ...keep, ...options })
    if (connack.reasonCode !== 0) throw new Error(`refused with ${connack.reasonCode}`)
    return { client, connack }
  }

  async publish(topic: string, payload: string, retain = false): Promise<void> {
    const client = this.client(5)
    await client.connect('sender', { cleanStart: true })
    const code = await client.publish(topic, payload, { qos: 1, retain })
    if (code >= 0x80) throw new Error(`refused with ${code}`)
    await client.disconnect()
  }

  async retained(topicFilter: string): Promise<string[]> {
    const client = this.client(5)
    await client.connect('reader', { cleanStart: true })
    await client.subscribe(topicFilter)
    client.send({ type: 'pingreq' })
    const found: string[] = []
    for (;;) {
      const packet = await client.receivesAny()
      if (packet.type === 'pingresp') break
      if (packet.type === 'publish') found.push(packet.payload.toString())
    }
    await client.disconnect()
    return found
  }

  /** Clients that need no store are served whatever it does. */
  async servesOthers(): Promise<void> {
    const client = this.client(5)
    assert.equal((await client.connect(`other ${this.faults.calls.length}`, { cleanStart: true })).reasonCode, 0)
    await client.subscribe('others')
    await client.publish('others', 'x')
    assert.equal(await client.message(), 'x')
    await client.disconnect()
  }
}

interface Flow {
  readonly name: string
  /** Before anything fails. */
  readonly prepare: (site: Site) => Promise<Acts>
}

interface Acts {
  /** What may meet a fault: is tried again until it is done. */
  readonly act: () => Promise<void>
  /** What must be true then, and after the broker was started again. */
  readonly check: () => Promise<void>
}

/** Tries again as a Client does whose connection ended or who was refused: a store may need a moment to come back. */
async function persist<Result>(attempt: () => Promise<Result>): Promise<Result> {
  const since = performance.now()
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      if (performance.now() - since > patienceMs || (error as Error).message.endsWith(' did not come')) throw error
    }
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

async function within<Result>(what: string, promise: Promise<Result>): Promise<Result> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not come`)), patienceMs)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

function exchanges(qos: 1 | 2): Flow {
  return {
    name: `QoS ${qos} in and out`,
    async prepare(site) {
      const ledger = new Ledger()
      const common = { ledger, level: site.level, open: async () => site.broker.connect() }
      const topic = `t${qos}`
      const random = new Random(qos)
      const subscriber = new Subscriber({ ...common, random, clientId: 's', topics: { [topic]: 2 } })
      const publisher = new Publisher({ ...common, random, clientId: 'p', topics: [{ topic, qos, retain: false }] })
      site.after(() => Promise.all([subscriber.stop(), publisher.stop()]))
      subscriber.start()
      publisher.start()
      await within(
        'the subscription',
        subscriber.until(() => subscriber.isSubscribed),
      )
      await within(
        'the connection',
        publisher.until(() => publisher.isOnline),
      )
      return {
        async act() {
          publisher.publish(4)
          await within(publisher.pending, publisher.complete())
          await within(
            'every delivery',
            subscriber.until(() => ledger.owed === 0 && subscriber.isQuiet),
          )
        },
        async check() {
          await within(
            'the connection',
            subscriber.until(() => subscriber.isOnline),
          )
          await within('PINGRESP', subscriber.ping())
          assert.equal(summary(ledger.balance()), '')
          assert.equal(ledger.figures.sent, 4)
        },
      }
    },
  }
}

const flows: readonly Flow[] = [
  exchanges(1),
  exchanges(2),
  {
    name: 'CONNECT and SUBSCRIBE',
    async prepare(site) {
      let count = 0
      return {
        act: () =>
          persist(async () => {
            const { client } = await site.connect('s')
            const codes = await client.subscribe('a/+', { qos: 1 })
            assert.deepEqual(codes, [1])
            await client.disconnect()
          }),
        async check() {
          count += 1
          await site.publish('a/b', String(count))
          const { client, connack } = await site.connect('s')
          assert.equal(connack.sessionPresent, true)
          assert.equal(await client.message(), String(count))
          await client.quiet()
          await client.disconnect()
        },
      }
    },
  },
  {
    name: 'UNSUBSCRIBE',
    async prepare(site) {
      const { client } = await site.connect('s')
      await client.subscribe('a/+', { qos: 1 })
      await client.subscribe('b', { qos: 1 })
      await client.disconnect()
      return {
        act: () =>
          persist(async () => {
            const { client } = await site.connect('s')
            const [code = 0] = await client.unsubscribe('a/+')
            assert.ok(code < 0x80)
            await client.disconnect()
          }),
        async check() {
          await site.publish('a/b', 'not wanted')
          await site.publish('b', 'wanted')
          const { client } = await site.connect('s')
          assert.equal(await client.message(), 'wanted')
          await client.quiet()
          await client.disconnect()
        },
      }
    },
  },
  {
    name: 'a session that is resumed with messages that wait',
    async prepare(site) {
      const { client } = await site.connect('s')
      await client.subscribe('a', { qos: 1 })
      await client.disconnect()
      for (const payload of ['1', '2']) await site.publish('a', payload)
      return {
        async act() {
          const seen = new Set<string>()
          await persist(async () => {
            const { client, connack } = await site.connect('s')
            assert.equal(connack.sessionPresent, true)
            while (seen.size < 2) seen.add(await client.message())
            assert.deepEqual([...seen], ['1', '2'])
            await client.disconnect()
          })
        },
        async check() {
          const { client } = await site.connect('s')
          client.send({ type: 'pingreq' })
          for (;;) {
            const packet = await client.receivesAny()
            if (packet.type === 'pingresp') break
            // Its PUBACK may not have been stored.
            assert.ok(packet.type === 'publish' && packet.dup, JSON.stringify(packet))
            await client.acknowledge(packet)
          }
          await client.disconnect()
        },
      }
    },
  },
  {
    name: 'a session that Clean Start ends',
    async prepare(site) {
      const { client } = await site.connect('s')
      await client.subscribe('a', { qos: 1 })
      await client.disconnect()
      await site.publish('a', 'not wanted any more')
      return {
        act: () =>
          persist(async () => {
            const { client } = await site.connect('s', { cleanStart: true, properties: {} })
            await client.disconnect()
          }),
        async check() {
          const { client, connack } = await site.connect('s')
          assert.equal(connack.sessionPresent, false)
          await client.quiet()
          // It goes as it came, so that this can be said once more.
          if (site.level === 5) await client.disconnect(0, 0)
          else await (await site.connect('s', { cleanStart: true })).client.disconnect()
        },
      }
    },
  },
  {
    name: 'retained messages',
    async prepare(site) {
      await site.publish('r/gone', 'old', true)
      await site.publish('r/new', 'old', true)
      return {
        async act() {
          await persist(() => site.publish('r/new', 'new', true))
          await persist(() => site.publish('r/gone', '', true))
        },
        check: async () => assert.deepEqual(await site.retained('r/#'), ['new']),
      }
    },
  },
  {
    name: 'a Will',
    async prepare(site) {
      const { client } = await site.connect('s')
      await client.subscribe('will', { qos: 2 })
      await client.disconnect()
      let isSeen = false
      return {
        act: () =>
          persist(async () => {
            const { client } = await site.connect('w', { will: will('will', 'x', { qos: 2, retain: true }) })
            await client.drop()
          }),
        async check() {
          const { client } = await site.connect('s')
          if (!isSeen) assert.equal(await client.message(), 'x')
          isSeen = true
          await client.quiet()
          await client.disconnect()
          assert.deepEqual(await site.retained('will'), ['x'])
        },
      }
    },
  },
]

// More calls than any of these flows makes.
const MOST_CALLS = 80

/** The flow with a fault at its first call, at its second, and so on until it makes fewer calls. */
async function everywhere(
  t: TestContext,
  store: StoreKind,
  level: ProtocolLevel,
  flow: Flow,
  kind: FaultKind,
): Promise<void> {
  const wrong: string[] = []
  let at = 1
  for (; at < MOST_CALLS; at += 1) {
    const site = new Site(store, level)
    try {
      await site.servesOthers() // It is open.
      const { act, check } = await flow.prepare(site)
      site.faults.arm(kind, at)
      const acting = act()
      if (kind === 'wait') {
        await Promise.race([site.faults.reached(), acting])
        if (site.faults.isReached) await site.servesOthers()
        site.faults.disarm()
      }
      await acting
      const { isReached } = site.faults
      site.faults.disarm()
      await check()
      if (!isReached) break
      if (site.canReopen) {
        await site.reopen()
        await check()
      }
      await site.servesOthers()
    } catch (error) {
      wrong.push(`call ${at}, ${site.faults.calls[at - 1]}: ${(error as Error).message}`)
      if (wrong.length > 5) break
    } finally {
      await site.end()
    }
  }
  t.diagnostic(`${at - 1} calls`)
  assert.deepEqual(wrong, [])
}

/** Both with `FAULTS=all`; each kind of fault has something to do with each level otherwise. */
function levels(kind: FaultKind): ProtocolLevel[] {
  if (process.env['FAULTS'] === 'all') return [5, 4]
  return [kind === 'throw' || kind === 'reject after' ? 4 : 5]
}

for (const store of ['log', 'aedes-persistence'] as const) {
  for (const [row, kind] of (['reject', 'throw', 'reject after', 'wait'] as const).entries()) {
    suite(`a store (${store}) whose call does "${kind}"`, () => {
      for (const level of levels(kind)) {
        // Every third flow, another one for each kind of fault; all of them in the long form of this file.
        for (const flow of flows.filter((_, index) => isLong || (index + row) % 3 === 0)) {
          test(`${flow.name}, protocol level ${level}`, (t) => everywhere(t, store, level, flow, kind))
        }
      }
    })
  }
}
