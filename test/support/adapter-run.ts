/** A store made for aedes and a broker that uses it and can be restarted. */
import mqemitter from 'mqemitter'
import { type AdapterOptions, AedesStorage } from '../../lib/adapters/aedes/aedes-storage.ts'
import { brokerHandle } from '../../lib/storage/broker-handle.ts'
import { promiseForm } from '../../lib/adapters/aedes/promise-form.ts'
import { storageOf } from '../../lib/adapters/aedes/storage-of.ts'
import type { Emitter } from '../../types/emitter.ts'
import type {
  PersistedPublish,
  PersistedQueueItem,
  PersistedSessionState,
  PersistedTarget,
  Persistence,
} from '../../types/persistence.ts'

/** The stored data outlives each persistence that is opened for it. */
export interface AdapterStore {
  /** Opens a persistence of the package for the data. */
  persistence(): unknown
  end(): Promise<void>
}

export interface ReadEverything {
  readonly sessions: Map<string, PersistedSessionState>
  readonly queues: Map<string, PersistedQueueItem[]>
  readonly retained: Map<string, PersistedPublish>
}

let starts = 0

export class AdapterRun {
  readonly warnings: string[] = []
  readonly #store: AdapterStore
  readonly #options: AdapterOptions
  readonly #wrap: (persistence: unknown) => unknown
  backend!: AedesStorage
  brokerId = ''
  counter = 0

  private constructor(store: AdapterStore, options: AdapterOptions, wrap: (persistence: unknown) => unknown) {
    this.#store = store
    this.#options = options
    this.#wrap = wrap
  }

  /** @param wrap - wraps each persistence. */
  static async start(
    store: AdapterStore,
    options: AdapterOptions = {},
    wrap: (persistence: unknown) => unknown = (persistence) => persistence,
  ): Promise<AdapterRun> {
    const run = new AdapterRun(store, options, wrap)
    await run.open()
    return run
  }

  async open(emitter: Emitter = mqemitter()): Promise<void> {
    starts += 1
    this.brokerId = `${(1_800_000_000_000 + starts).toString(36).padStart(9, '0')}-start${starts}`
    this.counter = 0
    const broker = {
      id: this.brokerId,
      emitter,
      warn: (text: string) => this.warnings.push(text),
      now: () => Date.now(),
    }
    const backend = storageOf(this.#wrap(this.#store.persistence()), this.#options)
    if (!(backend instanceof AedesStorage)) throw new Error('it was taken for one of our own')
    this.backend = backend
    await backend.open(broker)
  }

  /** The persistence in the form that aedes uses. */
  async bare(): Promise<{ persistence: Persistence; close(): Promise<unknown> }> {
    const persistence = promiseForm(this.#store.persistence() as object)
    await persistence.setup(brokerHandle('aedes-1', mqemitter()))
    return { persistence, close: () => persistence.destroy() }
  }

  async restart(): Promise<void> {
    await this.backend.close()
    await this.open()
  }

  async end(): Promise<void> {
    await this.backend.close()
    await this.#store.end()
  }

  /** A message with the next message id. */
  message(fields: Partial<PersistedPublish> = {}): PersistedPublish {
    this.counter += 1
    const { brokerId, counter: brokerCounter } = this
    return {
      cmd: 'publish',
      topic: 'a',
      payload: Buffer.from('x'),
      qos: 1,
      retain: false,
      brokerId,
      brokerCounter,
      ...fields,
    }
  }

  /** Queues a message for each target. */
  async publish(fields: Partial<PersistedPublish>, ...targets: readonly PersistedTarget[]): Promise<PersistedPublish> {
    const packet = this.message(fields)
    await this.backend.commit([{ kind: 'publish', packet, targets, retain: false }])
    return packet
  }

  /** Creates sessions that do not expire. */
  async sessions(...clientIds: readonly string[]): Promise<void> {
    const session = { expiryInterval: 4_294_967_295, expiresAt: null }
    await this.backend.commit(clientIds.map((clientId) => ({ kind: 'session', clientId, session })))
  }

  async read(): Promise<ReadEverything> {
    const [sessions, queues, retained] = [new Map(), new Map(), new Map()] as [
      ReadEverything['sessions'],
      ReadEverything['queues'],
      ReadEverything['retained'],
    ]
    for await (const state of this.backend.readAll()) {
      if (state.kind === 'retained') retained.set(state.packet.topic, state.packet)
      else {
        sessions.set(state.clientId, state)
        queues.set(state.clientId, [...state.queue])
      }
    }
    return { sessions, queues, retained }
  }

  async queue(clientId: string): Promise<PersistedQueueItem[]> {
    return [...((await this.backend.readSession(clientId))?.queue ?? [])]
  }
}

/** The persistence with some methods replaced; each replacement receives the real method. */
export function withMethods(
  persistence: unknown,
  methods: Readonly<Record<string, (real: (...values: unknown[]) => unknown, ...values: unknown[]) => unknown>>,
): unknown {
  return new Proxy(persistence as object, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key)
      if (typeof value !== 'function') return value
      const real = (...values: unknown[]): unknown => Reflect.apply(value, target, values)
      const replaced = typeof key === 'string' ? methods[key] : undefined
      return replaced === undefined ? real : (...values: unknown[]) => replaced(real, ...values)
    },
  })
}
