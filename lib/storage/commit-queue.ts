import type {
  ForeignMessage,
  PersistedPublish,
  PersistedSessionInfo,
  PersistedSubscription,
  PersistedTarget,
  PersistedWill,
  PersistenceOperation,
} from '../../types/persistence.ts'
import type { MessageId, StoredPacket } from '../messages/message-id.ts'
import type { Publication } from '../messages/publication.ts'
import type { QueuedMessage } from '../messages/queued-message.ts'
import { BackPressure } from '../sessions/back-pressure.ts'
import type { Delivery } from '../sessions/delivery.ts'
import type { Timer, Timers } from '../timers.ts'
import { type Change, CommitBatch, type OpenPublish } from './commit-batch.ts'
import type { Storage } from './storage.ts'
import { packetOf } from './stored-message.ts'
import { dropSuperseded, rollback } from './superseded.ts'

interface CommitQueueOptions {
  readonly brokerId: string
  readonly timers: Timers
  /** Milliseconds that the storage may take for a commit. */
  readonly timeoutMs: number
  /** Called when the storage begins to fail, and without an error when it works again. */
  readonly changed: (error: Error | undefined) => void
  /** Called with the changes that are committed, after those that waited for them. */
  readonly committed: (changes: Iterable<Change>) => void
  /** A fault of the broker. */
  readonly report: (error: Error) => void
}

// Bytes of the open batch beyond which publishers are paused.
const MAX_OPEN_BYTES = 16 * 1024 * 1024
const NO_BYTES = Buffer.alloc(0)
// Milliseconds until a storage that failed is tried again; doubled each time, up to the longest.
const FIRST_RETRY_MS = 100
const MAX_RETRY_MS = 2000

/**
 * Gathers all changes that must outlive the process and commits them in batches. Handlers and sessions add changes in
 * their order; a reply to a Client waits for the commit of the changes that it promises.
 *
 *   add … add ──▶ open batch ──(the commit before is done)──▶ committing ──▶ committed: listeners are called
 *                    ▲                                            │
 *                    └───────────── failed: tried again ──────────┴──▶ rejected: its Client is told
 *
 * The number of a batch is the commit number of everything in it; `isCommitted(number)` and `afterCommit` go by it.
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
  #retryMs = FIRST_RETRY_MS
  #failing = false
  /** A commit was given up that has not ended: no other may begin. */
  #stuck = false
  #closing = false
  #isClosed = false
  /** The last `publish` of the open batch, for its further targets. */
  #publish: OpenPublish | undefined
  #published: QueuedMessage | undefined
  /** A later change must come after it, so it gets no further targets. */
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

  /** The commit number of changes that are added now. */
  get openCommitNumber(): number {
    return this.#openCommitNumber
  }

  isCommitted(commitNumber: number): boolean {
    return commitNumber <= this.#committedThrough
  }

  /**
   * Calls `onCommitted` when all changes so far are committed: now, when they are. With `onRejected` a change that the
   * storage refused is not tried again.
   */
  afterCommit(onCommitted: () => void, onRejected?: (error: Error) => void): void {
    const batch = this.#open.operations.length > 0 ? this.#open : this.#committing
    if (batch === undefined) onCommitted()
    else batch.listeners.push({ onCommitted, onRejected })
  }

  /** The same as a promise. */
  flushed(): Promise<void> {
    return new Promise((resolve, reject) => this.afterCommit(resolve, reject))
  }

  // ─── changes ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The queue of the session gets the message, with its Packet Identifier when it is sent at once. Returns the commit number. */
  enqueue(publication: Publication, clientId: string, delivery: Delivery, isElsewhere: boolean = false): number {
    const target = targetOf(clientId, delivery)
    this.#publishOf(publication).targets.push(isElsewhere ? { ...target, isElsewhere } : target)
    return this.#openCommitNumber
  }

  /** The message is the retained one of its topic now or, when there was no room for it, none is. */
  retain(publication: Publication, isKept: boolean): void {
    if (isKept) this.#publishOf(publication).retain = true
    else this.forgetRetained(publication.message.topic)
    publication.queued.batchNumber = this.#openCommitNumber
  }

  /** The topic has no retained message any more. */
  forgetRetained(topic: string): void {
    const id = this.#nextMessageId()
    const packet: PersistedPublish = { ...id, cmd: 'publish', topic, payload: NO_BYTES, qos: 0, retain: true }
    this.#append({ kind: 'publish', packet, targets: [], retain: true })
  }

  /** The Packet Identifier of a QoS 2 message is taken, in one change with all that the message does. Returns the commit number. */
  incoming(publication: Publication, clientId: string, messageId: number): number {
    this.#publishOf(publication).incoming = { clientId, messageId }
    return this.#openCommitNumber
  }

  incomingDone(clientId: string, messageId: number): void {
    this.#append({ kind: 'incoming done', clientId, messageId })
  }

  /** A queued message gets its Packet Identifier. Returns the commit number. */
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

  discard(clientId: string, delivery: Delivery): void {
    if (this.#published === delivery.content) this.#isPublishOver = true
    const { brokerId, brokerCounter } = this.#storedPacketOf(delivery.content)
    const foreign = foreignOf(clientId, delivery)
    this.#append({ kind: 'discard', clientIds: [clientId], brokerId, brokerCounter, foreign })
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
   * Gives the message its stored id now. A broker that shares the store may have to store a message that this one
   * does not, and the ids of all messages of this broker are in their order.
   */
  identify(publication: Publication): void {
    this.#storedPacketOf(publication.queued)
  }

  /** Whether the open batch has anything of this publication. */
  isInOpenBatch(publication: Publication): boolean {
    return publication.batchNumber === this.#openCommitNumber
  }

  /** When the commit fails, the changes of this publication are taken back in the storage, since its Client is told. */
  markRejectable(publication: Publication): void {
    this.#open.markRejectable(publication)
  }

  /** Commits all that is left and closes the storage. Changes that it does not take are lost, and reported. */
  async close(): Promise<void> {
    this.#timers.cancel(this.#retry)
    this.#retry = undefined
    this.#closing = true
    // Changes that are added while a commit is under way need another one.
    while (this.#committing !== undefined || this.#open.operations.length > 0) {
      const isLast = this.#committing === undefined
      this.#commit()
      if (this.#committing !== undefined) await new Promise<void>((resolve) => this.#whenIdle.push(resolve))
      if (isLast && this.#failing) break
    }
    this.#isClosed = true
    const lost = this.#open.operations.length
    if (lost > 0) this.#options.report(new Error(`the store failed until the end: ${lost} changes are lost`))
    await this.#storage.close()
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

  /** The message as it is stored, under an id that it keeps. */
  #storedPacketOf(queued: QueuedMessage): StoredPacket {
    queued.stored ??= packetOf(queued.detach(), this.#nextMessageId(), this.#timers)
    return queued.stored
  }

  #nextMessageId(): MessageId {
    this.#counter += 1
    return { brokerId: this.#options.brokerId, brokerCounter: this.#counter }
  }

  #append(operation: PersistenceOperation, publication?: Publication): void {
    this.#open.add(operation, publication)
    if (this.#open.bytes > MAX_OPEN_BYTES) this.backPressure.congest()
    this.#schedule()
  }

  /** After the reads of this turn, so that all they bring goes into one commit. */
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
      this.#failed(batch, commitNumber, new Error('the store has not answered yet'))
      return
    }
    const timer = this.#timers.after(this.#options.timeoutMs, () => {
      this.#stuck = true
      this.#failed(batch, commitNumber, new Error(`the store did not answer within ${this.#options.timeoutMs} ms`))
    })
    const ended = (error: Error | undefined): void => {
      this.#timers.cancel(timer)
      if (this.#committing !== batch)
        this.#stuck = false // Too late: it counts as failed.
      else if (error === undefined) this.#succeeded(batch, commitNumber)
      else this.#failed(batch, commitNumber, error)
    }
    // A storage that throws at once has rejected like any other.
    const attempt = async (): Promise<unknown> => this.#storage.commit(batch.operations)
    attempt().then(() => ended(undefined), ended)
  }

  #succeeded(batch: CommitBatch, commitNumber: number): void {
    this.#committedThrough = commitNumber
    this.#retryMs = FIRST_RETRY_MS
    if (this.#failing) {
      this.#failing = false
      this.#options.changed(undefined)
    }
    this.#done()
    for (const { onCommitted } of batch.listeners) this.#call(onCommitted)
    this.#call(() => this.#options.committed(batch.changes()))
  }

  /** Rejectable changes are given up, in the storage too if any of them got there; the rest is tried again. */
  #failed(batch: CommitBatch, commitNumber: number, error: Error): void {
    const next = this.#open
    const again: Change[] = []
    for (const change of batch.changes()) {
      const { operation } = change
      if (operation.kind === 'publish') {
        for (const undo of rollback(operation)) again.push({ operation: undo, publication: undefined })
      }
      if (!batch.isRejectable(change)) again.push(change)
    }
    next.replace(dropSuperseded([...again, ...next.changes()]))
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
    this.#committedThrough = commitNumber // Nothing of it is left to be committed.
    for (const { onCommitted } of next.listeners.splice(0)) this.#call(onCommitted)
  }

  #done(): void {
    this.#committing = undefined
    this.backPressure.relieve()
    for (const resolve of this.#whenIdle.splice(0)) resolve()
    if (this.#open.operations.length > 0) this.#schedule()
  }

  /** A listener that fails must not stop the others. */
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

/** A message that another broker queued: this storage may not know of it. */
function foreignOf(clientId: string, delivery: Delivery): ForeignMessage | undefined {
  const { stored } = delivery.content
  if (delivery.storage !== 'queued by peer' || stored === undefined) return undefined
  return { packet: stored, target: { ...targetOf(clientId, delivery), messageId: undefined } }
}
