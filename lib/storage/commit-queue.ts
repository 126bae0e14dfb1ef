import type {
  ForeignMessage,
  PersistedPublish,
  PersistedSessionInfo,
  PersistedSubscription,
  PersistedTarget,
  PersistedWill,
  PersistenceOperation,
  PublishOperation,
} from '../../types/persistence.ts'
import { BackPressure } from '../sessions/back-pressure.ts'
import type { Delivery } from '../sessions/delivery.ts'
import type { Message } from '../messages/message.ts'
import type { Storage, StorageBroker } from '../../types/storage.ts'
import type { Timer, Timers } from '../timers.ts'
import { packetOf, type StoredPacket } from './stored-message.ts'
import { rollback, dropSuperseded } from './superseded.ts'

/** Somebody who may not go on before what was told is safe. */
interface CommitListener {
  readonly onCommitted: () => void
  /** Takes back what was told; without it the broker tries again until it is safe. */
  readonly onRejected: ((error: Error) => void) | undefined
}

/** A `publish` that can still get more receivers. */
interface Publication extends PublishOperation {
  readonly targets: PersistedTarget[]
  retain: boolean
  isResumed: boolean
  incoming: { readonly clientId: string; readonly messageId: number } | undefined
  /** What is published; not for the store. */
  readonly message: Message
}

/** What is told between two commits. */
class Batch {
  operations: PersistenceOperation[] = []
  waiting: CommitListener[] = []
  /** Messages that are given up when it fails, because their Clients are told so. */
  readonly rejectable = new Set<Message>()
  bytes = 0

  isRejectable(operation: PersistenceOperation): boolean {
    return 'message' in operation && this.rejectable.has((operation as Publication).message)
  }
}

interface CommitQueueOptions {
  readonly broker: StorageBroker
  readonly timers: Timers
  /** Milliseconds for the store to answer. */
  readonly timeoutMs: number
  /** Called when the store begins to fail, and without an error when it works again. */
  readonly changed: (error: Error | undefined) => void
  /** Told of what the store has now, when all who wait for it have gone on. */
  readonly committed: (operations: readonly PersistenceOperation[]) => void
  /** A fault of ours. */
  readonly report: (error: Error) => void
}

// So much may wait for the store before publishers do.
const MAX_OPEN_BYTES = 16 * 1024 * 1024
// What an operation takes beside a payload, roughly.
const OPERATION_BYTES = 200
const EMPTY = Buffer.alloc(0)
// Milliseconds until a store that failed is tried again; doubled each time, up to the longest.
const FIRST_RETRY_MS = 100
const MAX_RETRY_MS = 2000

/**
 * Keeps what must outlive the process. The handlers and sessions tell what changes, in order, and what a Client is
 * promised waits until it is safe:
 *
 *   tell … tell ──▶ gathering ──(the commit before is done)──▶ committing ──▶ safe: the waiting ones go on
 *                       ▲                                          │
 *                       └───────────── failed: try again ──────────┴──▶ refused: its Client is told
 *
 * A batch is told to the backend as a whole. Its number is the ticket of everything in it: whoever needs it safe asks
 * `isSafe(ticket)` or calls `wait`.
 */
export class CommitQueue {
  readonly backPressure: BackPressure
  readonly #storage: Storage
  readonly #options: CommitQueueOptions
  readonly #timers: Timers
  #open = new Batch()
  /** The number of the batch that is being gathered. */
  #openCommitNumber = 1
  #committedThrough = 0
  #committing: Batch | undefined
  #counter = 0
  #scheduled = false
  #retry: Timer | undefined
  #retryMs = FIRST_RETRY_MS
  #failing = false
  /** A commit was given up that has not ended: no other may begin. */
  #stuck = false
  #closing = false
  #isClosed = false
  /** The last one that was told, for its further receivers. */
  #publication: Publication | undefined
  /** Something was told that comes after it: further receivers must not stand before that. */
  #isPublicationOver = false
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

  /** Opens the store. Rejects when it cannot be used. */
  open(): Promise<void> {
    return this.#storage.open(this.#options.broker)
  }

  /** The ticket of what is told now. */
  get openCommitNumber(): number {
    return this.#openCommitNumber
  }

  isCommitted(commitNumber: number): boolean {
    return commitNumber <= this.#committedThrough
  }

  /** Calls `onSafe` when all that was told so far is safe: now, when it is. What cannot be tried again is given up with `onFailed`. */
  afterCommit(onCommitted: () => void, onRejected?: (error: Error) => void): void {
    const batch = this.#open.operations.length > 0 ? this.#open : this.#committing
    if (batch === undefined) onCommitted()
    else batch.waiting.push({ onCommitted, onRejected })
  }

  /** The same as a promise. */
  flushed(): Promise<void> {
    return new Promise((resolve, reject) => this.afterCommit(resolve, reject))
  }

  // ─── what is told ────────────────────────────────────────────────────────────────────────────────────────────────

  /** The session is to be queued for, with this Packet Identifier when it is sent at once. Answers the ticket. */
  enqueue(clientId: string, delivery: Delivery, isElsewhere = false): number {
    const target = targetOf(clientId, delivery)
    this.#publicationOf(delivery.message).targets.push(isElsewhere ? { ...target, isElsewhere } : target)
    return this.#openCommitNumber
  }

  /** The message is the retained one of its topic now, or, when there was no room for it, nothing is. */
  retain(message: Message, isKept: boolean): void {
    if (isKept) this.#publicationOf(message).retain = true
    else this.forgetRetained(message.topic)
    message.batchNumber = this.#openCommitNumber
  }

  /** The topic has no retained message any more. */
  forgetRetained(topic: string): void {
    const packet: PersistedPublish = {
      ...this.#nextMessageId(),
      cmd: 'publish',
      topic,
      payload: EMPTY,
      qos: 0,
      retain: true,
    }
    this.#append({ kind: 'publish', packet, targets: [], retain: true })
  }

  /** The Packet Identifier of a QoS 2 message is taken, as one with everything else that it changes. Answers the ticket. */
  incoming(message: Message, clientId: string, messageId: number): number {
    this.#publicationOf(message).incoming = { clientId, messageId }
    return this.#openCommitNumber
  }

  incomingDone(clientId: string, messageId: number): void {
    this.#append({ kind: 'incoming done', clientId, messageId })
  }

  /** A queued message gets its Packet Identifier. Answers the ticket. */
  send(clientId: string, delivery: Delivery): number {
    const { brokerId, brokerCounter } = this.#storedPacketOf(delivery.message)
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
    if (this.#publication?.message === delivery.message) this.#isPublicationOver = true
    const { brokerId, brokerCounter } = this.#storedPacketOf(delivery.message)
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

  /** Whether anything was told of this message since the last commit. */
  isInOpenBatch(message: Message): boolean {
    return message.batchNumber === this.#openCommitNumber
  }

  /** When the store fails, what was told of this message is taken back there; its Client is told. */
  markRejectable(message: Message): void {
    this.#open.rejectable.add(message)
  }

  /** Tells the store all that is left and closes it. What it does not take is lost, and reported. */
  async close(): Promise<void> {
    this.#timers.cancel(this.#retry)
    this.#retry = undefined
    this.#closing = true
    // What is told while a commit is under way needs another one.
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

  #publicationOf(message: Message): Publication {
    message.batchNumber = this.#openCommitNumber
    if (this.#publication?.message === message && !this.#isPublicationOver) return this.#publication
    const packet = this.#storedPacketOf(message)
    const publication: Publication = {
      kind: 'publish',
      packet,
      targets: [],
      retain: false,
      isResumed: message.isReplay,
      incoming: undefined,
      message,
    }
    this.#append(publication)
    this.#publication = publication
    this.#isPublicationOver = false
    return publication
  }

  /** The message as it is stored, under a name that it keeps. */
  #storedPacketOf(message: Message): StoredPacket {
    message.stored ??= packetOf(message.detach(), this.#nextMessageId(), this.#timers)
    return message.stored
  }

  #nextMessageId(): { brokerId: string; brokerCounter: number } {
    this.#counter += 1
    return { brokerId: this.#options.broker.id, brokerCounter: this.#counter }
  }

  #append(operation: PersistenceOperation): void {
    const batch = this.#open
    batch.operations.push(operation)
    batch.bytes += operation.kind === 'publish' ? OPERATION_BYTES + operation.packet.payload.length : OPERATION_BYTES
    if (batch.bytes > MAX_OPEN_BYTES) this.backPressure.congest()
    this.#schedule()
  }

  /** After the reads of this turn, so that what they bring goes into one commit. */
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
    const ticket = this.#openCommitNumber
    this.#open = new Batch()
    this.#publication = undefined
    this.#openCommitNumber += 1
    this.#committing = batch
    if (this.#stuck) {
      this.#failed(batch, ticket, new Error('the store has not answered yet'))
      return
    }
    const timer = this.#timers.after(this.#options.timeoutMs, () => {
      this.#stuck = true
      this.#failed(batch, ticket, new Error(`the store did not answer within ${this.#options.timeoutMs} ms`))
    })
    const settled = (error: Error | undefined): void => {
      this.#timers.cancel(timer)
      if (this.#committing !== batch)
        this.#stuck = false // Too late: it counts as failed.
      else if (error === undefined) this.#succeeded(batch, ticket)
      else this.#failed(batch, ticket, error)
    }
    attempt(() => this.#storage.commit(batch.operations)).then(() => settled(undefined), settled)
  }

  #succeeded(batch: Batch, ticket: number): void {
    this.#committedThrough = ticket
    this.#retryMs = FIRST_RETRY_MS
    if (this.#failing) {
      this.#failing = false
      this.#options.changed(undefined)
    }
    this.#done()
    for (const { onCommitted } of batch.waiting) this.#call(onCommitted)
    this.#call(() => this.#options.committed(batch.operations))
  }

  /** What its Clients can be told is given up, in the store too if any of it got there; the rest is tried again. */
  #failed(batch: Batch, ticket: number, error: Error): void {
    const next = this.#open
    const again: PersistenceOperation[] = []
    for (const operation of batch.operations) {
      if (operation.kind === 'publish') again.push(...rollback(operation))
      if (!batch.isRejectable(operation)) again.push(operation)
    }
    next.operations = dropSuperseded([...again, ...next.operations])
    next.bytes += again.length * OPERATION_BYTES
    const patient = batch.waiting.filter(({ onRejected }) => onRejected === undefined)
    next.waiting = [...patient, ...next.waiting]
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
    for (const { onRejected } of batch.waiting) if (onRejected !== undefined) this.#call(() => onRejected(error))
    if (next.operations.length > 0) return
    this.#committedThrough = ticket // Nothing of it is left to be made safe.
    for (const { onCommitted } of next.waiting.splice(0)) this.#call(onCommitted)
  }

  #done(): void {
    this.#committing = undefined
    this.backPressure.relieve()
    for (const resolve of this.#whenIdle.splice(0)) resolve()
    if (this.#open.operations.length > 0) this.#schedule()
  }

  /** One that fails must not stop the others. */
  #call(waiting: () => void): void {
    try {
      waiting()
    } catch (error) {
      this.#options.report(error as Error)
    }
  }
}

function targetOf(clientId: string, { qos, retain, identifiers, group, packetId }: Delivery): PersistedTarget {
  return {
    clientId,
    qos,
    retain,
    subscriptionIdentifiers: identifiers,
    sharedFilter: group?.sharedFilter,
    messageId: packetId === 0 ? undefined : packetId,
  }
}

/** What a store may have to be told of a message that another broker queued. */
function foreignOf(clientId: string, delivery: Delivery): ForeignMessage | undefined {
  const { message } = delivery
  const isUnknown = delivery.storedByPeer || message.replication?.fromPeer === true
  if (!isUnknown || message.stored === undefined) return undefined
  return { packet: message.stored, target: { ...targetOf(clientId, delivery), messageId: undefined } }
}

/** What a store throws at once is a rejection like any other. */
async function attempt(commit: () => Promise<unknown>): Promise<unknown> {
  return commit()
}
