import type { LocalSubscription, SubscribeOptions } from '../../types/local-subscription.ts'
import type { MaybePromise } from '../../types/hooks.ts'
import type { Message as PublicMessage } from '../../types/message.ts'
import type { QoS } from '../../types/packets.ts'
import { ApplicationFunction, ApplicationLoop } from '../application-calls.ts'
import { isPromise } from '../promises.ts'
import { BackPressure } from '../sessions/back-pressure.ts'
import { RingQueue } from '../sessions/ring-queue.ts'
import type { Timer, Timers } from '../timers.ts'
import { refuseCallback } from '../usage/callbacks.ts'
import type { Message } from './message.ts'
import type { Publication } from './publication.ts'
import { Readiness, type Refusal, type Subscriber } from './subscriber.ts'

type Listener = (message: PublicMessage) => MaybePromise<void>
interface PendingNext {
  resolve(result: IteratorResult<PublicMessage>): void
  reject(error: Error): void
}

/** A message with the QoS and the RETAIN flag of this copy. */
interface Copy {
  readonly message: Message
  readonly qos: QoS
  readonly retain: boolean
  /** It did not wait, so its Message Expiry Interval, which may be 0, is not over. */
  readonly isTaken: boolean
}

interface LocalSubscriberOptions {
  readonly timers: Timers
  /** Milliseconds for which a full queue pauses the publishers. */
  readonly holdBackMs: number
  readonly options: SubscribeOptions
  /** Called with each message; undefined if the application iterates over the subscription. */
  readonly listener: Listener | undefined
  reportError(error: Error): void
  /** Called when there is room for messages that wait for any member of a shared subscription. */
  readonly onRoom: (() => void) | undefined
  /** Called once, when the subscription ends. */
  onClose(subscriber: LocalSubscriber): void
}

// Minimum time between two searches of the queue for messages that have expired.
const SWEEP_MS = 1000

/**
 * The application as a subscriber: each message is passed to its listener, or waits for its loop. The listener is never
 * called in the middle of other code: neither of `subscribe` nor of a publisher.
 */
export class LocalSubscriber implements Subscriber, LocalSubscription {
  readonly clientId: undefined
  readonly connected = true
  get canSendNow(): boolean {
    return this.#queue.length < this.#pauseMark
  }

  readonly backPressure: BackPressure
  dropped = 0
  readonly #timers: Timers
  readonly #queue = new RingQueue<Copy>()
  readonly #highWaterMark: number
  /** From this length on publishers are paused. The rest of the queue is for those that have not been paused yet. */
  readonly #pauseMark: number
  /** At this length paused publishers are resumed. Not far below, so that a listener at work does not count as slow. */
  readonly #resumeMark: number
  readonly #overflow: NonNullable<SubscribeOptions['overflow']>
  readonly #listener: Listener | undefined
  readonly #calls: ApplicationFunction = new ApplicationFunction(false)
  readonly #loop: ApplicationLoop = new ApplicationLoop(this)
  readonly #reportError: (error: Error) => void
  readonly #onRoom: (() => void) | undefined
  readonly #onClose: (subscriber: LocalSubscriber) => void
  #pendingNexts: PendingNext[] = []
  /** A call of the listener is scheduled, or the listener is at work. */
  #isListening = false
  /** The application could not take a message since this one was delivered, so a long queue means nothing yet. */
  #isFresh = false
  /** The retained messages, which come first; undefined before they are restored. */
  #retained: RingQueue<Message> | undefined
  /** The maximum QoS of the retained messages. */
  #qos: QoS = 2
  /** Retained messages that were published while the others were being restored. */
  #restoredLate: Set<Message> | undefined
  #error: Error | undefined
  #closed = false
  /** No queued message expires before. */
  #firstExpiry = Infinity
  #sweptAt = -Infinity
  #sweepTimer: Timer | undefined

  constructor({ timers, holdBackMs, options, listener, reportError, onRoom, onClose }: LocalSubscriberOptions) {
    this.#timers = timers
    this.#highWaterMark = options.highWaterMark ?? 1000
    this.#pauseMark = this.#highWaterMark - (this.#highWaterMark >> 2)
    this.#resumeMark = Math.max(this.#pauseMark - 1 - (this.#highWaterMark >> 4), 0)
    this.#overflow = options.overflow ?? 'drop-oldest'
    this.backPressure = new BackPressure(timers, this.#overflow === 'pause' ? Infinity : holdBackMs)
    this.backPressure.isUnattended = listener === undefined
    this.#listener = listener
    this.#reportError = reportError
    this.#onRoom = onRoom
    this.#onClose = onClose
  }

  /** Starts, with the retained messages of this moment. No message is passed on before. */
  begin(retained: Iterable<Message>, qos: QoS): void {
    if (this.#closed) return
    this.#qos = qos
    this.#retained = new RingQueue()
    for (const message of retained) {
      if (this.#restoredLate?.has(message) !== true) this.#retained.push(message) // Otherwise it is in the queue.
    }
    this.#restoredLate = undefined
    this.#serve()
  }

  readiness(): Readiness {
    if (this.#closed) return Readiness.away
    if (this.canSendNow) return Readiness.now
    const hasRoom = this.#overflow === 'pause' || this.#queue.length < this.#highWaterMark
    return hasRoom ? Readiness.congested : Readiness.full
  }

  offer(publication: Publication, qos: QoS, retain: boolean): Refusal | undefined {
    if (this.#closed) return 'away'
    this.deliver(publication, qos, retain)
    return undefined
  }

  deliver(publication: Publication, qos: QoS, retain: boolean): void {
    if (this.#closed) return
    const isAwaited = this.#pendingNexts.length > 0 && this.#retained !== undefined
    const message = isAwaited ? publication.message : publication.detach()
    if (this.#retained === undefined && message.retain) {
      this.#restoredLate ??= new Set()
      this.#restoredLate.add(message)
    }
    // The listener takes it in this turn, although it has expired by the clock.
    const isTaken = message.expiresAtOnce && this.#listener !== undefined && this.#isIdle
    const copy = { message, qos, retain, isTaken }
    if (isAwaited) {
      this.#startGrace()
      this.#resolveNext(copy)
      return
    }
    if (this.#queue.length >= this.#highWaterMark) {
      if (this.#sweepIsDue) this.#sweep()
      const isFull = this.#queue.length >= this.#highWaterMark && !this.#isFresh
      if (isFull && this.#overflow !== 'pause') this.#overflows()
    }
    if (this.#closed) return
    this.#queue.push(copy)
    if (this.#listener !== undefined) this.#schedule()
    if (message.expiresAt < this.#firstExpiry) this.#sweepAt(message.expiresAt)
    if (this.#queue.length >= this.#pauseMark) this.backPressure.congest()
  }

  /** No message is before the next one, and the listener has no promise pending. */
  get #isIdle(): boolean {
    const isEmpty = this.#queue.length === 0 && (this.#retained === undefined || this.#retained.length === 0)
    return isEmpty && (!this.#isListening || this.#isFresh)
  }

  #overflows(): void {
    if (this.#overflow === 'error') {
      this.#error = new Error(`more than ${this.#highWaterMark} messages wait to be taken`)
      if (this.#listener !== undefined) {
        this.#clear()
        this.#reportError(this.#error)
      }
      this.#end()
      return
    }
    this.dropped += 1
    this.#queue.shift()
  }

  get #sweepIsDue(): boolean {
    const now = this.#timers.now()
    return this.#firstExpiry < now && this.#sweptAt + SWEEP_MS <= now
  }

  #sweepAt(expiry: number): void {
    this.#firstExpiry = expiry
    this.#timers.cancel(this.#sweepTimer)
    this.#sweepTimer = this.#timers.at(Math.max(expiry + 1, this.#sweptAt + SWEEP_MS), () => this.#sweep())
  }

  /** Removes messages that have expired, so that they take no room from others [MQTT-3.3.2-5]. */
  #sweep(): void {
    const queued = [...this.#queue]
    this.#queue.clear()
    let first = Infinity
    for (const copy of queued) {
      if (this.#isExpired(copy)) continue
      this.#queue.push(copy)
      if (copy.message.expiresAt < first) first = copy.message.expiresAt
    }
    this.#sweptAt = this.#timers.now()
    this.#firstExpiry = Infinity
    if (first !== Infinity) this.#sweepAt(first)
    this.#relieve()
  }

  /** The application had its chance to take messages. */
  #endGrace(): void {
    this.#isFresh = false
    if (this.#overflow === 'pause') return
    while (this.#queue.length > this.#highWaterMark && !this.#closed) this.#overflows()
  }

  /** Lets a loop take messages for the rest of this turn of the event loop, before any is dropped. */
  #startGrace(): void {
    if (this.#isFresh) return
    this.#isFresh = true
    setImmediate(() => this.#endGrace())
  }

  #serve(): void {
    while (this.#pendingNexts.length > 0) {
      const copy = this.#next()
      if (copy === undefined) return
      this.#resolveNext(copy)
    }
    if (this.#listener !== undefined) this.#schedule()
  }

  #resolveNext(copy: Copy): void {
    this.#loop.received()
    this.#pendingNexts.shift()?.resolve({ done: false, value: publicMessage(copy) })
  }

  /** Calls the listener when the code at work has returned. */
  #schedule(): void {
    if (this.#isListening) return
    this.#isListening = true
    this.#isFresh = true
    queueMicrotask(this.#listen)
  }

  /** Calls the listener with one message after the other; while it has a promise pending the next message waits. */
  readonly #listen = (): void => {
    if (this.#listener === undefined) return
    for (let copy = this.#next(); copy !== undefined; copy = this.#next()) {
      try {
        const result = this.#calls.call(this, this.#listener, publicMessage(copy))
        if (isPromise(result)) {
          this.#endGrace()
          result.then(this.#listen, this.#listenerFailed)
          return
        }
      } catch (error) {
        this.#reportError(error as Error) // An error must not end the subscription.
      }
    }
    this.#isFresh = false
    this.#isListening = false
  }

  readonly #listenerFailed = (error: Error): void => {
    this.#reportError(error)
    this.#listen()
  }

  /** Removes and returns the next message that has not expired [MQTT-3.3.2-5]; undefined if there is none. */
  #next(): Copy | undefined {
    const copy = this.#shiftUnexpired()
    this.#relieve()
    if (this.#onRoom === undefined || this.#closed || this.#queue.length > this.#highWaterMark >> 1) return copy
    this.#onRoom()
    return copy ?? this.#shiftUnexpired()
  }

  #shiftUnexpired(): Copy | undefined {
    let copy = this.#shift()
    while (copy !== undefined && this.#isExpired(copy)) copy = this.#shift()
    return copy
  }

  #relieve(): void {
    const { length } = this.#queue
    if (length <= this.#resumeMark && (this.backPressure.isCongested || length <= this.#highWaterMark >> 1)) {
      this.backPressure.relieve()
    }
  }

  #shift(): Copy | undefined {
    if (this.#retained === undefined) return undefined
    const message = this.#retained.shift()
    if (message === undefined) return this.#queue.shift()
    return { message, qos: this.#qos < message.qos ? this.#qos : message.qos, retain: true, isTaken: false }
  }

  #isExpired({ isTaken, message: { expiresAt } }: Copy): boolean {
    return !isTaken && expiresAt !== Infinity && expiresAt <= this.#timers.now()
  }

  [Symbol.asyncIterator](): AsyncIterator<PublicMessage> {
    return {
      next: () => {
        const isRecognized = this.#loop.next()
        if (isRecognized || !this.backPressure.isCongested) this.backPressure.isUnattended = false
        const copy = this.#next()
        if (copy !== undefined) {
          this.#loop.received()
          return Promise.resolve({ done: false, value: publicMessage(copy) })
        }
        const error = this.#error
        this.#error = undefined
        if (error !== undefined) return Promise.reject(error)
        if (this.#closed) return Promise.resolve({ done: true, value: undefined })
        return new Promise((resolve, reject) => this.#pendingNexts.push({ resolve, reject }))
      },
      return: async () => {
        await this.close()
        return { done: true, value: undefined }
      },
    }
  }

  close(): Promise<void> {
    refuseCallback('subscription.close()', arguments)
    this.#error = undefined
    this.#clear()
    this.#end()
    return Promise.resolve()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #clear(): void {
    this.#queue.clear()
    this.#retained?.clear()
    this.#loop.end()
  }

  #end(): void {
    if (this.#closed) return
    this.#closed = true
    this.#timers.cancel(this.#sweepTimer)
    this.backPressure.relieve()
    this.#onClose(this)
    const error = this.#error
    for (const pendingNext of this.#pendingNexts) {
      if (error !== undefined) pendingNext.reject(error)
      else pendingNext.resolve({ done: true, value: undefined })
    }
    this.#pendingNexts = []
  }
}

/** A plain object of its own, so that it can be compared, and changed without an effect on other receivers. */
function publicMessage({ message, qos, retain }: Copy): PublicMessage {
  return { topic: message.topic, payload: message.payload, qos, retain, properties: message.properties }
}
