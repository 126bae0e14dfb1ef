import type {
  ForeignMessage,
  PersistedPublish,
  PersistedSessionInfo,
  PersistedSubscription,
  PersistedTarget,
  PersistedWill,
  PersistenceOperation,
} from '../../types/persistence.ts'
import type { Storage, StorageBroker } from '../../types/storage.ts'
import type { MessageId, StoredPacket } from '../messages/message-id.ts'
import type { Publication } from '../messages/publication.ts'
import type { QueuedMessage } from '../messages/queued-message.ts'
import { BackPressure } from '../sessions/back-pressure.ts'
import type { Delivery } from '../sessions/delivery.ts'
import type { Timer, Timers } from '../timers.ts'
import { type Change, CommitBatch, type OpenPublish } from './commit-batch.ts'
import { packetOf } from './stored-message.ts'
import { dropSuperseded, rollback } from './superseded.ts'

interface CommitQueueOptions {
  /** The store as the application gave it; undefined if the broker made it. */
  readonly store?: object | undefined
  readonly broker: StorageBroker
  readonly timers: Timers
  /** Time limit of one commit in milliseconds. */
  readonly timeoutMs: number
  /** Called with the error when the storage starts to fail, and without one when it works again. */
  readonly changed: (error: Error | undefined) => void
  /** Called with the changes of each successful commit, after its listeners. */
  readonly committed: (changes: Iterable<Change>) => void
  /** Reports an error of the broker. */
  readonly report: (error: Error) => void
}

// Stores that brokers of this process have open: one object serves one broker.
const inUse = new WeakSet<object>()
// Above this size of the open batch publishers are paused.
const MAX_OPEN_BYTES = 16 * 1024 * 1024
const NO_BYTES = Buffer.alloc(0)
// Delay before a failed commit is retried; doubled after each failure, up to the maximum.
const MIN_RETRY_MS = 100
const MAX_RETRY_MS = 2000

/**
 * Collects all changes that must outlive the process and commits them in batches. Handlers and sessions add changes in
 * order; a reply to a Client waits for the commit of the changes that it acknowledges.
 *
 *   add … add ──▶ open batch ──(the commit before is done)──▶ committing ──▶ committed: listeners are called
 *                    ▲                                            │
 *                    └───────────── failed: retried ──────────────┴──▶ rejected: the publisher receives an error
 *
 * All changes of a batch have the same commit number, which `isCommitted` compares.
 */
export class CommitQueue {
  readonly backPressure: BackPressure
  readonly #storage: Storage
  readonly #options: CommitQueueOptions
  readonly #timers: Timers
  #open = new CommitBatch()
  #openCommitNumber = 1
  #committedThrough = 0
  #committing: CommitBatch | undefined
  #counter = 0
  #scheduled = false
  #retry: Timer | undefined
  #retryMs = MIN_RETRY_MS
  #failing = false
  /** A commit exceeded its time limit and is still running, so no other commit may start. */
  #stuck = false
  #closing = false
  #isClosed = false
  /** The last `publish` of the open batch, to which targets can be added. */
  #publish: OpenPublish | undefined
  #published: QueuedMessage | undefined
  /** A later change must be stored after `#publish`, so it accepts no further targets. */
  #isPublishOver = false
  #whenIdle: (() => void)[] = []

  constructor(storage: Storage, options: CommitQueueOptions) {
    this.#storage = storage
    this.#options = options
    this.#timers = options.timers
    this.backPressure = new BackPressure(options.timers, Infinity)
  }

  get storage(): Storage {
    return this.#storage
  }

  /** Opens the storage. Rejects when it cannot be used, or when another broker of this process has the same object. */
  async open(): Promise<void> {
    const { store } = this.#options
    if (store !== undefined) {
      if (inUse.has(store)) {
        throw new Error('another broker of this program uses this store object; give each broker one of its own')
      }
      inUse.add(store)
    }
    try {
      await this.#storage.open(this.#options.broker)
    } catch (error) {
      if (store !== undefined) inUse.delete(store)
      throw error
    }
  }

  /** Commits fail at present. */
  get isFailing(): boolean {
    return this.#failing
  }

  /** The commit number of the open batch. */
  get openCommitNumber(): number {
    return this.#openCommitNumber
  }

  isCommitted(commitNumber: number): boolean {
    return commitNumber <= this.#committedThrough
  }

  /**
   * Calls `onCommitted` when all changes so far are committed, at once if they are. If `onRejected` is given and the
   * commit fails, it is called instead, without a retry.
   */
  afterCommit(onCommitted: () => void, onRejected?: (error: Error) => void): void {
    const batch = this.#open.operations.length > 0 ? this.#open : this.#committing
    if (batch === undefined) onCommitted()
    else batch.listeners.push({ onCommitted, onRejected })
  }

  /** Resolves when all changes so far are committed; rejects when the commit fails. */
  flushed(): Promise<void> {
    return new Promise((resolve, reject) => this.afterCommit(resolve, reject))
  }

  /** Resolves when all changes so far are committed, however often they are retried. */
  committed(): Promise<void> {
    return new Promise((resolve) => this.afterCommit(resolve))
  }

  // ─── changes ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Stores a delivery, with its Packet Identifier if it is sent at once. Returns the commit number. */
  enqueue(publication: Publication, clientId: string, delivery: Delivery, isRemote: boolean = false): number {
    const target = targetOf(clientId, delivery)
    this.#publishOf(publication).targets.push(isRemote ? { ...target, isElsewhere: true } : target)
    return this.#openCommitNumber
  }

  /** Stores the retained message of its topic or, if `isKept` is false, removes it. */
  retain(publication: Publication, isKept: boolean): void {
    if (isKept) this.#publishOf(publication).retain = true
    else this.forgetRetained(publication.message.topic)
    publication.queued.batchNumber = this.#openCommitNumber
  }

  /** Removes the retained message of the topic. */
  forgetRetained(topic: string): void {
    const id = this.#nextMessageId()
    const packet: PersistedPublish = { ...id, cmd: 'publish', topic, payload: NO_BYTES, qos: 0, retain: true }
    this.#append({ kind: 'publish', packet, targets: [], retain: true })
  }

  /** Stores the Packet Identifier of a QoS 2 message, in one change with the publication. Returns the commit number. */
  incoming(publication: Publication, clientId: string, messageId: number): number {
    this.#publishOf(publication).incoming = { clientId, messageId }
    return this.#openCommitNumber
  }

  incomingDone(clientId: string, messageId: number): void {
    this.#append({ kind: 'incoming done', clientId, messageId })
  }

  /** Stores the Packet Identifier of a queued message. Returns the commit number. */
  send(clientId: string, delivery: Delivery): number {
    const { brokerId, brokerCounter } = this.#storedPacketOf(delivery.content)
    const foreign = foreignOf(clientId, delivery)
    this.#append({ kind: 'send', clientId, brokerId, brokerCounter, messageId: delivery.packetId, foreign })
    return this.#openCommitNumber
  }

  release(clientId: string, messageId: number): void {
    this.#append({ kind: 'release', clientId, messageId })
  }

  complete(clientId: string, messageId: number): void {
    this.#append({ kind: 'complete', clientId, messageId })
  }

  /** Removes a queued message. Returns the commit number. */
  discard(clientId: string, delivery: Delivery): number {
    if (this.#published === delivery.content) this.#isPublishOver = true
    const { brokerId, brokerCounter } = this.#storedPacketOf(delivery.content)
    const foreign = foreignOf(clientId, delivery)
    this.#append({ kind: 'discard', clientIds: [clientId], brokerId, brokerCounter, foreign })
    return this.#openCommitNumber
  }

  session(clientId: string, session: PersistedSessionInfo): void {
    this.#append({ kind: 'session', clientId, session })
  }

  endSession(clientId: string): void {
    this.#append({ kind: 'end session', clientId })
  }

  subscribe(clientId: string, subscription: PersistedSubscription): void {
    this.#append({ kind: 'subscribe', clientId, subscriptions: [subscription] })
  }

  unsubscribe(clientId: string, topicFilter: string): void {
    this.#append({ kind: 'unsubscribe', clientId, topicFilters: [topicFilter] })
  }

  will(clientId: string, will: PersistedWill | undefined): void {
    this.#append({ kind: 'will', clientId, will })
  }

  /**
   * Assigns the message id now. A peer may store a message that this broker does not store, and the ids of all messages
   * of a broker are in their order.
   */
  identify(publication: Publication): void {
    this.#storedPacketOf(publication.queued)
  }

  /** Whether the open batch contains changes of this publication. */
  isInOpenBatch(publication: Publication): boolean {
    return publication.batchNumber === this.#openCommitNumber
  }

  /** If the commit fails, rolls back this publication instead of a retry, because its publisher receives an error. */
  markRejectable(publication: Publication): void {
    this.#open.markRejectable(publication)
  }

  /** Commits all remaining changes and closes the storage. Reports changes that the storage refuses; they are lost. */
  async close(): Promise<void> {
    this.#timers.cancel(this.#retry)
    this.#retry = undefined
    this.#closing = true
    // Changes that are added during a commit need another commit.
    while (this.#committing !== undefined || this.#open.operations.length > 0) {
      const isLast = this.#committing === undefined
      this.#commit()
      if (this.#committing !== undefined) await new Promise<void>((resolve) => this.#whenIdle.push(resolve))
      if (isLast && this.#failing) break
    }
    this.#isClosed = true
    const lost = this.#open.operations.length
    if (lost > 0) this.#options.report(new Error(`the store failed until the end: ${lost} changes are lost`))
    try {
      await this.#storage.close()
    } finally {
      if (this.#options.store !== undefined) inUse.delete(this.#options.store)
    }
  }

  // ─── batches ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #publishOf(publication: Publication): OpenPublish {
    const { queued } = publication
    queued.batchNumber = this.#openCommitNumber
    if (this.#publish !== undefined && this.#published === queued && !this.#isPublishOver) return this.#publish
    const publish: OpenPublish = {
      kind: 'publish',
      packet: this.#storedPacketOf(queued),
      targets: [],
      retain: false,
      isResumed: publication.replay !== undefined,
      incoming: undefined,
    }
    this.#append(publish, publication)
    this.#publish = publish
    this.#published = queued
    this.#isPublishOver = false
    return publish
  }

  /** The stored form of the message; its message id is assigned once. */
  #storedPacketOf(queued: QueuedMessage): StoredPacket {
    queued.stored ??= packetOf(queued.detach(), this.#nextMessageId(), this.#timers)
    return queued.stored
  }

  #nextMessageId(): MessageId {
    this.#counter += 1
    return { brokerId: this.#options.broker.id, brokerCounter: this.#counter }
  }

  #append(operation: PersistenceOperation, publication?: Publication): void {
    this.#open.add(operation, publication)
    if (this.#open.bytes > MAX_OPEN_BYTES) this.backPressure.congest()
    this.#schedule()
  }

  /** Commits after the reads of this turn, so that all their changes are in one commit. */
  #schedule(): void {
    if (this.#scheduled || this.#committing !== undefined || this.#retry !== undefined) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#commit()
    })
  }

  #commit(): void {
    if (
      this.#isClosed ||
      this.#committing !== undefined ||
      this.#retry !== undefined ||
      this.#open.operations.length === 0
    )
      return
    const batch = this.#open
    const commitNumber = this.#openCommitNumber
    this.#open = new CommitBatch()
    this.#publish = undefined
    this.#published = undefined
    this.#openCommitNumber += 1
    this.#committing = batch
    if (this.#stuck) {
      this.#failed(batch, commitNumber, new Error('the store has not responded yet'))
      return
    }
    const timer = this.#timers.after(this.#options.timeoutMs, () => {
      this.#stuck = true
      this.#failed(batch, commitNumber, new Error(`the store did not respond within ${this.#options.timeoutMs} ms`))
    })
    const ended = (error: Error | undefined): void => {
      this.#timers.cancel(timer)
      if (this.#committing !== batch)
        this.#stuck = false // The time limit has passed, so the commit counts as failed.
      else if (error === undefined) this.#succeeded(batch, commitNumber)
      else this.#failed(batch, commitNumber, error)
    }
    // An async function, so that a synchronous throw becomes a rejection.
    const commit = async (): Promise<unknown> => this.#storage.commit(batch.operations)
    commit().then(() => ended(undefined), ended)
  }

  #succeeded(batch: CommitBatch, commitNumber: number): void {
    this.#committedThrough = commitNumber
    this.#retryMs = MIN_RETRY_MS
    if (this.#failing) {
      this.#failing = false
      this.#options.changed(undefined)
    }
    this.#done()
    for (const { onCommitted } of batch.listeners) this.#call(onCommitted)
    this.#call(() => this.#options.committed(batch.changes()))
  }

  /** Rolls back rejectable changes, because the storage may have stored a part of them; retries all others. */
  #failed(batch: CommitBatch, commitNumber: number, error: Error): void {
    const next = this.#open
    const retried: Change[] = []
    for (const change of batch.changes()) {
      const { operation } = change
      if (operation.kind === 'publish') {
        for (const undo of rollback(operation)) retried.push({ operation: undo, publication: undefined })
      }
      if (!batch.isRejectable(change)) retried.push(change)
    }
    next.replace(dropSuperseded([...retried, ...next.changes()]))
    const patient = batch.listeners.filter(({ onRejected }) => onRejected === undefined)
    next.listeners = [...patient, ...next.listeners]
    if (!this.#failing) {
      this.#failing = true
      this.#options.changed(error)
    }
    if (!this.#closing) {
      this.#retry = this.#timers.after(this.#retryMs, () => {
        this.#retry = undefined
        this.#commit()
      })
      this.#retryMs = Math.min(this.#retryMs * 2, MAX_RETRY_MS)
    }
    this.#done()
    for (const { onRejected } of batch.listeners) if (onRejected !== undefined) this.#call(() => onRejected(error))
    if (next.operations.length > 0) return
    this.#committedThrough = commitNumber // No change of the batch is left to commit.
    for (const { onCommitted } of next.listeners.splice(0)) this.#call(onCommitted)
  }

  #done(): void {
    this.#committing = undefined
    this.backPressure.relieve()
    for (const resolve of this.#whenIdle.splice(0)) resolve()
    if (this.#open.operations.length > 0) this.#schedule()
  }

  /** Calls a listener; if it throws, the other listeners must still be called. */
  #call(listener: () => void): void {
    try {
      listener()
    } catch (error) {
      this.#options.report(error as Error)
    }
  }
}

function targetOf(clientId: string, { qos, retain, via, packetId }: Delivery): PersistedTarget {
  return {
    clientId,
    qos,
    retain,
    subscriptionIdentifiers: via.identifiers,
    sharedFilter: via.sharedFilter,
    messageId: packetId === 0 ? undefined : packetId,
  }
}

/** The message and target of a delivery that a peer queued: this storage may not have them yet. */
function foreignOf(clientId: string, delivery: Delivery): ForeignMessage | undefined {
  const { stored } = delivery.content
  if (delivery.storage !== 'queued by peer' || stored === undefined) return undefined
  return { packet: stored, target: { ...targetOf(clientId, delivery), messageId: undefined } }
}
