import type { PersistedWill } from '../../../types/persistence.ts'
import type { WillProperties } from '../../../types/properties.ts'
import type { Calls } from './calls.ts'
import { bytesOf, fieldsOf, numberOf, qosOf, stringOf } from './plain-value.ts'
import type { Capabilities } from './probe.ts'

interface ReadWill {
  readonly will: PersistedWill
  readonly writtenAt: number
}

/** Limits the search for more Wills of a Client. */
const MAX_COPIES = 100

/** The adapter of Redis returns only 10,001 Wills at once. */
export const MAX_LISTED_WILLS = 10_000

/**
 * The Wills of Clients. All brokers use one broker id for them, because some adapters store one for each Client and
 * broker id, others one for each Client: so a Will always replaces the last one. The Will contains the id of its broker. The
 * calls for one Client come one after another.
 */
export class StoredWills {
  readonly #calls: Calls
  readonly #can: Capabilities
  /** The broker id that the adapter sees. */
  readonly #adapterId: string
  readonly #brokerId: string
  readonly #now: () => number
  /** Broker ids of aedes under which Clients have Wills, too. */
  readonly #foreign = new Map<string, Set<string>>()
  #lastWrite = 0

  constructor(calls: Calls, capabilities: Capabilities, adapterId: string, broker: { id: string; now(): number }) {
    this.#calls = calls
    this.#can = capabilities
    this.#adapterId = adapterId
    this.#brokerId = broker.id
    this.#now = () => broker.now()
  }

  async set(clientId: string, will: PersistedWill | undefined): Promise<void> {
    const ids = [...(this.#foreign.get(clientId) ?? [])]
    if (will === undefined) {
      await this.#deleteAll(clientId, this.#adapterId)
    } else {
      // The new one first: if the process ends between the calls, the later one counts.
      const before = this.#can.willReplaces === 'none' ? await this.#get(clientId, this.#adapterId) : undefined
      await this.#put(clientId, will)
      if (before !== undefined) await this.#delete(clientId, this.#adapterId)
    }
    if (this.#can.willReplaces === 'client at broker') for (const id of ids) await this.#delete(clientId, id)
    this.#foreign.delete(clientId)
  }

  /** Reads all Wills, by Client Identifier. */
  async readAll(): Promise<Map<string, PersistedWill>> {
    const found = new Map<string, ReadWill>()
    for await (const raw of this.#calls.list('streamWill', (store) => store.streamWill({}))) {
      const clientId = stringOf(fieldsOf(raw).clientId)
      if (clientId === undefined) continue
      this.#noteBroker(clientId, raw)
      const read = readWill(raw)
      if (read.writtenAt >= (found.get(clientId)?.writtenAt ?? 0)) found.set(clientId, read)
    }
    return new Map(Array.from(found, ([clientId, { will }]) => [clientId, will]))
  }

  async read(clientId: string): Promise<PersistedWill | undefined> {
    return (await this.#get(clientId, this.#adapterId))?.will
  }

  #noteBroker(clientId: string, raw: unknown): void {
    const id = stringOf(fieldsOf(raw).brokerId)
    if (id === undefined || id === this.#adapterId) return
    const ids = this.#foreign.get(clientId) ?? new Set()
    this.#foreign.set(clientId, ids.add(id))
  }

  #put(clientId: string, will: PersistedWill): Promise<unknown> {
    this.#lastWrite = Math.max(this.#lastWrite + 1, this.#now())
    const { topic, payload, qos, retain, properties, dueAt } = will
    const { correlationData } = properties ?? {}
    const writtenBy = this.#brokerId
    const writtenAt = this.#lastWrite
    // A new object for each try, because adapters write on it.
    const stored = (): PersistedWill & { writtenBy: string; writtenAt: number } => ({
      topic,
      payload: Buffer.from(payload),
      qos,
      retain,
      properties: { ...properties, ...(correlationData && { correlationData: Buffer.from(correlationData) }) },
      dueAt: dueAt ?? 0,
      writtenBy,
      writtenAt,
    })
    const method = this.#can.willReplaces === 'none' ? 'call' : 'callWithRetry'
    return this.#calls[method]('putWill', (store) => store.putWill({ id: clientId }, stored()))
  }

  async #get(clientId: string, brokerId: string): Promise<ReadWill | undefined> {
    const raw = await this.#calls.orUndefined(
      this.#calls.callWithRetry('getWill', (store) => store.getWill({ id: clientId, brokerId })),
    )
    return raw === undefined || raw === null ? undefined : readWill(raw)
  }

  #delete(clientId: string, brokerId: string): Promise<unknown> {
    return this.#calls.orUndefined(this.#calls.call('delWill', (store) => store.delWill({ id: clientId, brokerId })))
  }

  async #deleteAll(clientId: string, brokerId: string): Promise<void> {
    for (let copies = 0; copies < MAX_COPIES; copies += 1) {
      const deleted = await this.#delete(clientId, brokerId)
      if (this.#can.willReplaces !== 'none' || deleted === undefined || deleted === null) return
    }
  }
}

function readWill(raw: unknown): ReadWill {
  const fields = fieldsOf(raw)
  const properties = fieldsOf(fields.properties) as WillProperties
  const dueAt = numberOf(fields.dueAt)
  const clientId = stringOf(fields.clientId)
  const brokerId = stringOf(fields.writtenBy) ?? stringOf(fields.brokerId)
  const will: PersistedWill = {
    topic: stringOf(fields.topic) ?? '',
    payload: bytesOf(fields.payload),
    qos: qosOf(fields.qos),
    retain: fields.retain === true,
    ...(Object.keys(properties).length > 0 && { properties }),
    ...(dueAt !== undefined && { dueAt }),
    ...(clientId !== undefined && { clientId }),
    ...(brokerId !== undefined && { brokerId }),
  }
  return { will, writtenAt: numberOf(fields.writtenAt) ?? 0 }
}
