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
import { Congestion } from '../sessions/congestion.ts'
import type { Delivery } from '../sessions/delivery.ts'
import type { Message } from '../messages/message.ts'
import type { Backend } from '../persistence/backend.ts'
import type { Timer, Timers } from '../timers.ts'
import { packetOf, type StoredPacket } from './stored-message.ts'
import { takeBack, withoutPointless } from './try-again.ts'

/** Somebody who may not go on before what was told is safe. */
interface Waiting {
  readonly onSafe: () => void
  /** Takes back what was told; without it the broker tries again until it is safe. */
  readonly onFailed: ((error: Error) => void) | undefined
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
  waiting: Waiting[] = []
  /** Messages that are given up when it fails, because their Clients are told so. */
  readonly refusable = new Set<Message>()
  bytes = 0

  isRefusable(operation: PersistenceOperation): boolean {
    return 'message' in operation && this.refusable.has((operation as Publication).message)
  }
}

interface StoreOptions {
  readonly brokerId: string
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
const FULL_BYTES = 16 * 1024 * 1024
// What an operation takes beside a payload, roughly.
const OPERATION_BYTES = 200
const EMPTY = Buffer.alloc(0)
// Milliseconds until a store that failed is tried again; doubled each time, up to the longest.
const FIRST_RETRY_MS = 100
const LONGEST_RETRY_MS = 2000

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
export class Store {
  readonly congestion: Congestion
  readonly #backend: Backend
  readonly #options: StoreOptions
  readonly #timers: Timers
  #gathering = new Batch()
  /** The number of the batch that is being gathered. */
  #ticket = 1
  #safe = 0
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

  constructor(backend: Backend, options: StoreOptions) {
    this.#backend = backend
    this.#options = options
    this.#timers = options.timers
    this.congestion = new Congestion(options.timers, Infinity)
  }

  get backend(): Backend {
    return this.#backend
  }

  /** The ticket of what is told now. */
  get ticket(): number {
    return this.#ticket
  }

  isSafe(ticket: number): boolean {
    return ticket <= this.#safe
  }

  /** Calls `onSafe` when all that was told so far is safe: now, when it is. What cannot be tried again is given up with `onFailed`. */
  wait(onSafe: () => void, onFailed?: (error: Error) => void): void {
    const batch = this.#gathering.operations.length > 0 ? this.#gathering : this.#committing
    if (batch === undefined) onSafe()
    else batch.waiting.push({ onSafe, onFailed })
  }

  /** The same as a promise. */
  settled(): Promise<void> {
    return new Promise((resolve, reject) => this.wait(resolve, reject))
  }

  // ─── what is told ────────────────────────────────────────────────────────────────────────────────────────────────

  /** The session is to be queued for, with this Packet Identifier when it is sent at once. Answers the ticket. */
  enqueue(clientId: string, delivery: Delivery, isElsewhere = false): number {
    const target = targetOf(clientId, delivery)
    this.#publicationOf(delivery.message).targets.push(isElsewhere ? { ...target, isElsewhere } : target)
    return this.#ticket
  }

  /** The message is the retained one of its topic now, or, when there was no room for it, nothing is. */
  retain(message: Message, isKept: boolean): void {
    if (isKept) this.#publicationOf(message).retain = true
    else this.forgetRetained(message.topic)
    message.toldIn = this.#ticket
  }

  /** The topic has no retained message any more. */
  forgetRetained(topic: string): void {
    const packet: PersistedPublish = { ...this.#name(), cmd: 'publish', topic, payload: EMPTY, qos: 0, retain: true }
    this.#tell({ kind: 'publish', packet, targets: [], retain: true })
  }

  /** The Packet Identifier of a QoS 2 message is taken, as one with everything else that it changes. Answers the ticket. */
  incoming(message: Message, clientId: string, messageId: number): number {
    this.#publicationOf(message).incoming = { clientId, messageId }
    return this.#ticket
  }

  incomingDone(clientId: string, messageId: number): void {
    this.#tell({ kind: 'incoming done', clientId, messageId })
  }

  /** A queued message gets its Packet Identifier. Answers the ticket. */
  send(clientId: string, delivery: Delivery): number {
    const { brokerId, brokerCounter } = this.#nameOf(delivery.message)
    const foreign = foreignOf(clientId, delivery)
    this.#tell({ kind: 'send', clientId, brokerId, brokerCounter, messageId: delivery.packetId, foreign })
    return this.#ticket
  }

  release(clientId: string, messageId: number): void {
    this.#tell({ kind: 'release', clientId, messageId })
  }

  complete(clientId: string, messageId: number): void {
    this.#tell({ kind: 'complete', clientId, messageId })
  }

  discard(clientId: string, delivery: Delivery): void {
    if (this.#publication?.message === delivery.message) this.#isPublicationOver = true
    const { brokerId, brokerCounter } = this.#nameOf(delivery.message)
    const foreign = foreignOf(clientId, delivery)
    this.#tell({ kind: 'discard', clientIds: [clientId], brokerId, brokerCounter, foreign })
  }

  session(clientId: string, session: PersistedSessionInfo): void {
    this.#tell({ kind: 'session', clientId, session })
  }

  endSession(clientId: string): void {
    this.#tell({ kind: 'end session', clientId })
  }

  subscribe(clientId: string, subscription: PersistedSubscription): void {
    this.#tell({ kind: 'subscribe', clientId, subscriptions: [subscription] })
  }

  unsubscribe(clientId: string, topicFilter: string): void {
    this.#tell({ kind: 'unsubscribe', clientId, topicFilters: [topicFilter] })
  }

  will(clientId: string, will: PersistedWill | undefined): void {
    this.#tell({ kind: 'will', clientId, will })
  }

  /** Whether anything was told of this message since the last commit. */
  tells(message: Message): boolean {
    return message.toldIn === this.#ticket
  }

  /** When the store fails, what was told of this message is taken back there; its Client is told. */
  mayRefuse(message: Message): void {
    this.#gathering.refusable.add(message)
  }

  /** Tells the store all that is left and closes it. What it does not take is lost, and reported. */
  async close(): Promise<void> {
    this.#timers.cancel(this.#retry)
    this.#retry = undefined
    this.#closing = true
    // What is told while a commit is under way needs another one.
    while (this.#committing !== undefined || this.#gathering.operations.length > 0) {
      const isLast = this.#committing === undefined
      this.#commit()
      if (this.#committing !== undefined) await new Promise<void>((resolve) => this.#whenIdle.push(resolve))
      if (isLast && this.#failing) break
    }
    this.#isClosed = true
    const lost = this.#gathering.operations.length
    if (lost > 0) this.#options.report(new Error(`the store failed until the end: ${lost} changes are lost`))
    await this.#backend.close()
  }

  // ─── batches ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #publicationOf(message: Message): Publication {
    message.toldIn = this.#ticket
    if (this.#publication?.message === message && !this.#isPublicationOver) return this.#publication
    const packet = this.#nameOf(message)
    const publication: Publication = {
      kind: 'publish',
      packet,
      targets: [],
      retain: false,
      isResumed: message.isResumed,
      incoming: undefined,
      message,
    }
    this.#tell(publication)
    this.#publication = publication
    this.#isPublicationOver = false
    return publication
  }

  /** The message as it is stored, under a name that it keeps. */
  #nameOf(message: Message): StoredPacket {
    message.stored ??= packetOf(message.keep(), this.#name(), this.#timers)
    return message.stored
  }

  #name(): { brokerId: string; brokerCounter: number } {
    this.#counter += 1
    return { brokerId: this.#options.brokerId, brokerCounter: this.#counter }
  }

  #tell(operation: PersistenceOperation): void {
    const batch = this.#gathering
    batch.operations.push(operation)
    batch.bytes += operation.kind === 'publish' ? OPERATION_BYTES + operation.packet.payload.length : OPERATION_BYTES
    if (batch.bytes > FULL_BYTES) this.congestion.fillsUp()
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
      this.#gathering.operations.length === 0
    )
      return
    const batch = this.#gathering
    const ticket = this.#ticket
    this.#gathering = new Batch()
    this.#publication = undefined
    this.#ticket += 1
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
    attempt(() => this.#backend.commit(batch.operations)).then(() => settled(undefined), settled)
  }

  #succeeded(batch: Batch, ticket: number): void {
    this.#safe = ticket
    this.#retryMs = FIRST_RETRY_MS
    if (this.#failing) {
      this.#failing = false
      this.#options.changed(undefined)
    }
    this.#done()
    for (const { onSafe } of batch.waiting) this.#call(onSafe)
    this.#call(() => this.#options.committed(batch.operations))
  }

  /** What its Clients can be told is given up, in the store too if any of it got there; the rest is tried again. */
  #failed(batch: Batch, ticket: number, error: Error): void {
    const next = this.#gathering
    const again: PersistenceOperation[] = []
    for (const operation of batch.operations) {
      if (operation.kind === 'publish') again.push(...takeBack(operation))
      if (!batch.isRefusable(operation)) again.push(operation)
    }
    next.operations = withoutPointless([...again, ...next.operations])
    next.bytes += again.length * OPERATION_BYTES
    const patient = batch.waiting.filter(({ onFailed }) => onFailed === undefined)
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
      this.#retryMs = Math.min(this.#retryMs * 2, LONGEST_RETRY_MS)
    }
    this.#done()
    for (const { onFailed } of batch.waiting) if (onFailed !== undefined) this.#call(() => onFailed(error))
    if (next.operations.length > 0) return
    this.#safe = ticket // Nothing of it is left to be made safe.
    for (const { onSafe } of next.waiting.splice(0)) this.#call(onSafe)
  }

  #done(): void {
    this.#committing = undefined
    this.congestion.drained()
    for (const resolve of this.#whenIdle.splice(0)) resolve()
    if (this.#gathering.operations.length > 0) this.#schedule()
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
  const isUnknown = delivery.wasElsewhere || message.travel?.isForeign === true
  if (!isUnknown || message.stored === undefined) return undefined
  return { packet: message.stored, target: { ...targetOf(clientId, delivery), messageId: undefined } }
}

/** What a store throws at once is a rejection like any other. */
async function attempt(commit: () => Promise<unknown>): Promise<unknown> {
  return commit()
}
