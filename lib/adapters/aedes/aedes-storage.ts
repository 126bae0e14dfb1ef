import type {
  PersistedPublish,
  PersistedSessionInfo,
  PersistedSessionState,
  PersistedState,
  PersistedSubscription,
  PersistedWill,
  Persistence,
  PersistenceOperation,
  PublishOperation,
} from '../../../types/persistence.ts'
import type { SharedReading, Storage, StorageBroker } from '../../../types/storage.ts'
import { type BrokerHandle, brokerHandle } from '../../storage/broker-handle.ts'
import { isOfBroker } from '../../topics/sys-topic.ts'
import { Calls } from './calls.ts'
import { KeyedQueue } from './keyed-queue.ts'
import { type Capabilities, probe } from './probe.ts'
import { fromStored, toRetained } from './stored-packet.ts'
import { StoredIncoming } from './stored-incoming.ts'
import { StoredQueues } from './stored-queues.ts'
import {
  fromStoredSubscriptions,
  ownerRecord,
  ownerTopic,
  type ReadSession,
  SESSION_TOPIC,
  sessionRecord,
  type StoredSubscription,
  toStoredSubscription,
} from './stored-session.ts'
import { RESERVED, storedTopic } from './stored-topic.ts'
import { MAX_LISTED_WILLS, StoredWills } from './stored-wills.ts'

/** Sessions that are read ahead; only their queues are in memory at once. */
const MAX_SESSIONS_READ_AHEAD = 32

/** The broker id that an adapter sees. See StoredWills for why it is the same at every start. */
const BROKER_ID = 'haltere'

/** A session of aedes, which has no expiry. */
const neverExpires: PersistedSessionInfo = { expiryInterval: 4_294_967_295, expiresAt: null }
/** A Client without a session that has a Will: it was connected when its broker ended. */
const ended: PersistedSessionInfo = { expiryInterval: 0, expiresAt: null }

export interface AdapterOptions {
  /** Milliseconds that one call of a method of the store may take. @defaultValue 5000 */
  readonly callTimeout?: number
  /** Milliseconds that `setup` may take. @defaultValue 30000 */
  readonly setupTimeout?: number
}

/** The parts that need the capabilities of the adapter. */
interface Parts {
  readonly broker: StorageBroker
  readonly handle: BrokerHandle
  readonly capabilities: Capabilities
  readonly queues: StoredQueues
  readonly incoming: StoredIncoming
  readonly wills: StoredWills
}

/** Messages for one queue without other changes of its Client between them. */
interface Enqueues {
  readonly tasks: Promise<void>[]
  readonly isTurn: Promise<void>
}

/**
 * A store that was made for aedes. Its calls are not atomic, so they come in an order in which the end of the process
 * leaves a state that the next start recognises: a message arrives twice rather than never.
 */
export class AedesStorage implements Storage {
  readonly reserved: string = RESERVED
  readonly oneCopyPerQueue = true
  readonly #adapter: string
  readonly #calls: Calls
  readonly #setupTimeout: number
  readonly #cleansIncoming: boolean
  readonly #queue = new KeyedQueue()
  /** The topics that store the owners of the known sessions. */
  readonly #ownerTopics = new Map<string, readonly string[]>()
  #opened: Parts | undefined
  #lastOwnerWrite = 0

  /** @param adapter - its name in messages. */
  constructor(persistence: Persistence, adapter: string, options: AdapterOptions = {}) {
    this.#adapter = adapter
    this.#calls = new Calls(persistence, adapter, options.callTimeout ?? 5000)
    this.#setupTimeout = options.setupTimeout ?? 30_000
    this.#cleansIncoming = typeof persistence.cleanIncoming === 'function'
  }

  async open(broker: StorageBroker): Promise<void> {
    const handle = brokerHandle(BROKER_ID, broker.emitter)
    await this.#calls.call('setup', (store) => store.setup(handle), this.#setupTimeout)
    const capabilities = await probe(this.#calls, handle, broker.id, this.#cleansIncoming)
    this.#opened = {
      broker,
      handle,
      capabilities,
      queues: new StoredQueues(this.#calls, capabilities),
      incoming: new StoredIncoming(this.#calls, capabilities),
      wills: new StoredWills(this.#calls, capabilities, BROKER_ID, broker),
    }
    const losses = lossesOf(capabilities)
    if (losses.length > 0) broker.warn(`${this.#adapter}: does not keep ${losses.join('; ')}`)
  }

  /** The number of queued messages that the adapter has in memory. */
  get queuedMessages(): number {
    return this.#parts.queues.size
  }

  get #parts(): Parts {
    if (this.#opened === undefined) throw new Error(`${this.#adapter}: open() must come first`)
    return this.#opened
  }

  /** Brokers can share an adapter that notifies the others of subscriptions. */
  get shared(): SharedReading | undefined {
    if (this.#opened?.handle.isShared !== true) return undefined
    return { readSessions: () => this.#readSessions(), readRetained: () => this.#readRetained() }
  }

  async *readAll(): AsyncGenerator<PersistedState> {
    for await (const packet of this.#readRetained()) yield { kind: 'retained', packet }
    const wills = await this.#parts.wills.readAll()
    const clientIds = await this.#clientIds(wills)
    const pending: Promise<PersistedSessionState | undefined>[] = []
    let withSubscriptions = 0
    const readOne = async (clientId: string): Promise<PersistedSessionState | undefined> => {
      const read = await this.#readSubscriptions(clientId)
      if (read.session !== undefined || read.subscriptions.length > 0) withSubscriptions += 1
      const will =
        wills.get(clientId) ?? (wills.size < MAX_LISTED_WILLS ? undefined : await this.#parts.wills.read(clientId))
      return this.#readState(clientId, read, will)
    }
    const next = clientIds.values()
    for (;;) {
      while (pending.length < MAX_SESSIONS_READ_AHEAD) {
        const { value: clientId } = next.next()
        if (clientId === undefined) break
        const state = readOne(clientId)
        state.catch(() => undefined) // The error is thrown when its turn comes.
        pending.push(state)
      }
      const first = pending.shift()
      if (first === undefined) break
      const state = await first
      if (state !== undefined) yield state
    }
    await this.#compareCount(withSubscriptions)
  }

  async readSession(clientId: string): Promise<PersistedSessionState | undefined> {
    const read = await this.#readSubscriptions(clientId)
    return this.#readState(clientId, read, await this.#parts.wills.read(clientId))
  }

  async commit(operations: readonly PersistenceOperation[]): Promise<void> {
    const parts: Promise<void>[] = []
    const enqueues = new Map<string, Enqueues>()
    for (const operation of operations) this.#start(operation, parts, enqueues)
    // Waits for all parts, so that the next commit does not overlap.
    for (const result of await Promise.allSettled(parts)) if (result.status === 'rejected') throw result.reason
  }

  findIncoming(clientId: string, messageId: number): Promise<'unknown' | 'accepted' | PersistedPublish> {
    return this.#parts.incoming.find(clientId, messageId)
  }

  async close(): Promise<void> {
    await this.#queue.idle()
    try {
      await this.#calls.call('destroy', (store) => store.destroy())
    } catch (error) {
      this.#opened?.broker.warn((error as Error).message)
    }
  }

  /** Starts one operation, and adds its promises to the parts. */
  #start(operation: PersistenceOperation, parts: Promise<void>[], enqueues: Map<string, Enqueues>): void {
    const { queues, incoming, wills } = this.#parts
    const inOrder = (clientId: string, task: () => Promise<unknown>): void => {
      enqueues.delete(clientId)
      parts.push(this.#inOrder(clientId, task))
    }
    switch (operation.kind) {
      case 'publish':
        return this.#publish(operation, parts, enqueues)
      case 'session':
        return inOrder(operation.clientId, () => this.#keepSession(operation.clientId, operation.session))
      case 'end session':
        return inOrder(operation.clientId, () => this.#endSession(operation.clientId))
      case 'subscribe':
        return inOrder(operation.clientId, () => this.#subscribe(operation.clientId, operation.subscriptions))
      case 'unsubscribe':
        return inOrder(operation.clientId, () =>
          this.#removeSubscriptions(operation.clientId, operation.topicFilters.map(storedTopic)),
        )
      case 'send':
        return inOrder(operation.clientId, () =>
          queues.send(operation.clientId, operation, operation.messageId, operation.foreign),
        )
      case 'release':
        return inOrder(operation.clientId, () => queues.release(operation.clientId, operation.messageId))
      case 'complete':
        return inOrder(operation.clientId, () => queues.complete(operation.clientId, operation.messageId))
      case 'discard':
        for (const clientId of operation.clientIds) {
          inOrder(clientId, () => queues.discard(clientId, operation, operation.foreign))
        }
        return
      case 'incoming done':
        return inOrder(operation.clientId, () => incoming.done(operation.clientId, operation.messageId))
      case 'will':
        return inOrder(operation.clientId, () => wills.set(operation.clientId, operation.will))
    }
  }

  /**
   * At QoS 2 the store has `begun` before the first queue has the message, and `accepted` after the last one: if the
   * process ends between, the next start knows that some queues may lack the message.
   */
  #publish(
    { packet, targets, retain, incoming, isResumed }: PublishOperation,
    parts: Promise<void>[],
    enqueues: Map<string, Enqueues>,
  ): void {
    const exchanges = this.#parts.incoming
    const { queues, capabilities } = this.#parts
    if (incoming !== undefined) enqueues.delete(incoming.clientId)
    const begun = incoming && this.#inOrder(incoming.clientId, () => exchanges.begin(incoming, packet))
    const deliveries = targets.map((target) =>
      this.#enqueue(target.clientId, enqueues, async () => {
        await begun
        await queues.enqueue(target, packet, isResumed)
      }),
    )
    if (retain) {
      const stored = toRetained(packet, !capabilities.retainedProperties)
      const kept = this.#queue.run(`topic ${packet.topic}`, async () => {
        await begun
        await this.#calls.callWithRetry('storeRetained', (store) => store.storeRetained(stored))
      })
      deliveries.push(kept)
    }
    if (begun !== undefined) parts.push(begun)
    parts.push(...deliveries)
    if (incoming === undefined) return
    enqueues.delete(incoming.clientId)
    const accepted = this.#inOrder(incoming.clientId, async () => {
      await Promise.all([begun, ...deliveries])
      await exchanges.accept(incoming, packet)
    })
    parts.push(accepted)
  }

  /** Messages for one queue without other changes between go to the store at once: reading sorts them. */
  #enqueue(clientId: string, enqueues: Map<string, Enqueues>, task: () => Promise<void>): Promise<void> {
    let group = enqueues.get(clientId)
    if (group === undefined) {
      const tasks: Enqueues['tasks'] = []
      const isTurn = new Promise<void>((resolve) => {
        const turn = this.#inOrder(clientId, async () => {
          resolve()
          await Promise.resolve() // By then the tasks of this commit are added.
          await Promise.allSettled(tasks)
        })
        turn.catch(() => undefined) // Each task reports its own failure.
      })
      group = { tasks, isTurn }
      enqueues.set(clientId, group)
    }
    const done = group.isTurn.then(task)
    group.tasks.push(done)
    return done
  }

  #inOrder(clientId: string, task: () => Promise<unknown>): Promise<void> {
    return this.#queue.run(`client ${clientId}`, async () => {
      await task()
    })
  }

  async #keepSession(clientId: string, session: PersistedSessionInfo): Promise<void> {
    const known = this.#ownerTopics.get(clientId) ?? (await this.#readSubscriptions(clientId)).ownerTopics
    this.#ownerTopics.delete(clientId) // Unknown until all calls succeed.
    const topic = ownerTopic(session.owner)
    const records = [sessionRecord(session)]
    if (topic !== undefined && known[0] !== topic) {
      this.#lastOwnerWrite = Math.max(this.#lastOwnerWrite + 1, this.#parts.broker.now())
      records.push(ownerRecord(topic, this.#lastOwnerWrite))
    }
    await this.#addSubscriptions(clientId, records)
    await this.#removeSubscriptions(
      clientId,
      known.filter((one) => one !== topic),
    )
    this.#ownerTopics.set(clientId, topic === undefined ? [] : [topic])
  }

  /** The record of the session is removed last, so that a later session does not get a rest of this one. */
  async #endSession(clientId: string): Promise<void> {
    await this.#parts.queues.drain(clientId)
    await this.#parts.incoming.clean(clientId)
    await this.#parts.wills.set(clientId, undefined)
    await this.#calls.callWithRetry('cleanSubscriptions', (store) => store.cleanSubscriptions({ id: clientId }))
    this.#ownerTopics.delete(clientId)
  }

  #subscribe(clientId: string, subscriptions: readonly PersistedSubscription[]): Promise<void> {
    const { subscriptionFields } = this.#parts.capabilities
    return this.#addSubscriptions(
      clientId,
      subscriptions.map((subscription) => toStoredSubscription(subscription, subscriptionFields)),
    )
  }

  async #addSubscriptions(clientId: string, subscriptions: readonly StoredSubscription[]): Promise<void> {
    if (subscriptions.length === 0) return
    // Some fields have values that aedes never stores there.
    const stored = subscriptions as unknown as readonly PersistedSubscription[]
    await this.#calls.callWithRetry('addSubscriptions', (store) => store.addSubscriptions({ id: clientId }, stored))
  }

  async #removeSubscriptions(clientId: string, topics: readonly string[]): Promise<void> {
    if (topics.length === 0) return
    await this.#calls.callWithRetry('removeSubscriptions', (store) =>
      store.removeSubscriptions({ id: clientId }, [...topics]),
    )
  }

  async #readSubscriptions(clientId: string): Promise<ReadSession> {
    const raw = await this.#calls.callWithRetry('subscriptionsByClient', (store) =>
      store.subscriptionsByClient({ id: clientId }),
    )
    return fromStoredSubscriptions(raw ?? [])
  }

  async #readState(
    clientId: string,
    read: ReadSession,
    will: PersistedWill | undefined,
  ): Promise<PersistedSessionState | undefined> {
    const session = read.session ?? (read.subscriptions.length > 0 ? neverExpires : will && ended)
    this.#ownerTopics.delete(clientId) // Another broker may have ended it.
    if (session === undefined) return undefined
    this.#ownerTopics.set(clientId, read.ownerTopics)
    let queue: PersistedSessionState['queue'] = []
    await this.#inOrder(clientId, async () => {
      queue = await this.#parts.queues.read(clientId)
    })
    // The open QoS 2 exchanges cannot be listed: see `findIncoming`.
    return { kind: 'session', clientId, session, subscriptions: read.subscriptions, queue, incoming: [], will }
  }

  /** The Clients that have a session or a Will. */
  async #clientIds(wills: ReadonlyMap<string, unknown>): Promise<Set<string>> {
    const clientIds = new Set<string>()
    for await (const id of this.#calls.list('getClientList', (store) => store.getClientList(SESSION_TOPIC))) {
      clientIds.add(id)
    }
    for (const id of wills.keys()) clientIds.add(id)
    return clientIds
  }

  async *#readSessions(): ReturnType<SharedReading['readSessions']> {
    for (const clientId of await this.#clientIds(await this.#parts.wills.readAll())) {
      const { session = ended, subscriptions } = await this.#readSubscriptions(clientId)
      yield { clientId, session, subscriptions }
    }
  }

  async *#readRetained(): AsyncGenerator<PersistedPublish> {
    const topics = new Set<string>()
    for await (const raw of this.#calls.list('createRetainedStream', (store) => store.createRetainedStream('#'))) {
      const { packet } = fromStored(raw)
      const { topic } = packet
      if (isOfBroker(topic) || topic.startsWith(RESERVED) || topics.has(topic)) continue
      topics.add(topic)
      yield packet
    }
  }

  /** Sessions that aedes wrote cannot be listed, only counted. */
  async #compareCount(found: number): Promise<void> {
    const { clientsCount } = await this.#calls.callWithRetry('countOffline', (store) => store.countOffline())
    if (clientsCount <= found) return
    const more = clientsCount - found
    this.#parts.broker.warn(
      `${this.#adapter}: ${more} sessions were written by another broker and cannot be listed; each comes back when its Client connects, and until then it gets no messages`,
    )
  }
}

/** The losses of a store that the adapter cannot prevent. */
function lossesOf(capabilities: Capabilities): string[] {
  const losses: string[] = []
  if (!capabilities.sessionFields) losses.push('when a session expires')
  if (!capabilities.willFields) losses.push('the properties of Wills and when a delayed one is due')
  if (capabilities.release === 'nothing') losses.push('PUBREC, so a QoS 2 message is sent again after a restart')
  if (!capabilities.cleanIncoming) {
    losses.push('a session free of the QoS 2 exchanges of the one before, when that ended after a restart')
  }
  return losses
}
