import type { LocalSubscription, SubscribeOptions } from '../../types/local-subscription.ts'
import type { MaybePromise } from '../../types/hooks.ts'
import type { Message as PublicMessage } from '../../types/message.ts'
import type { QoS } from '../../types/packets.ts'
import { isPromise } from '../promises.ts'
import { BackPressure } from '../sessions/back-pressure.ts'
import { RingQueue } from '../sessions/ring-queue.ts'
import type { Timer, Timers } from '../timers.ts'
import { Message } from './message.ts'
import { refuseCallback } from '../usage/callbacks.ts'
import type { Publication } from './publication.ts'
import { Readiness, type Refusal, type Subscriber } from './subscriber.ts'

type Listener = (message: PublicMessage) => MaybePromise<void>
interface PendingNext {
  resolve(result: IteratorResult<PublicMessage>): void
  reject(error: Error): void
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

/** The application as a subscriber: each message is passed to its listener, or waits for its loop. */
export class LocalSubscriber implements Subscriber, LocalSubscription {
  readonly clientId: undefined
  readonly connected = true
  get canSendNow(): boolean {
    return this.#queue.length < this.#highWaterMark
  }

  readonly backPressure: BackPressure
  dropped = 0
  readonly #queue = new RingQueue<PublicMessage>()
  readonly #timers: Timers
  readonly #highWaterMark: number
  readonly #overflow: NonNullable<SubscribeOptions['overflow']>
  readonly #listener: Listener | undefined
  readonly #reportError: (error: Error) => void
  readonly #onRoom: (() => void) | undefined
  readonly #onClose: (subscriber: LocalSubscriber) => void
  #pendingNexts: PendingNext[] = []
  #isListening = false
  /** The retained messages, which come first, are not restored yet. */
  #awaitsRetained = false
  #retained: Iterator<Message> | undefined
  #qos: QoS = 2
  #error: Error | undefined
  #closed = false
  /** No queued message expires before. */
  #firstExpiry = Infinity
  #sweptAt = -Infinity
  #sweepTimer: Timer | undefined

  constructor({ timers, holdBackMs, options, listener, reportError, onRoom, onClose }: LocalSubscriberOptions) {
    this.#timers = timers
    this.#highWaterMark = options.highWaterMark ?? 1000
    this.#overflow = options.overflow ?? 'drop-oldest'
    this.backPressure = new BackPressure(timers, this.#overflow === 'pause' ? Infinity : holdBackMs)
    this.#listener = listener
    this.#reportError = reportError
    this.#onRoom = onRoom
    this.#onClose = onClose
  }

  /** Starts with the retained messages, which are read one by one when the application needs the next one. */
  begin(retained: Iterator<Message>, qos: QoS): void {
    this.#awaitsRetained = false
    if (this.#closed) return
    this.#retained = retained
    this.#qos = qos
    while (this.#pendingNexts.length > 0) {
      const value = this.#next()
      if (value === undefined) break
      this.#pendingNexts.shift()?.resolve({ done: false, value })
    }
    if (this.#listener !== undefined) this.#listen()
  }

  /** Delivers no message until `begin` is called. */
  awaitRetained(): void {
    this.#awaitsRetained = true
  }

  readiness(): Readiness {
    if (this.#closed) return Readiness.away
    if (this.canSendNow) return Readiness.now
    return this.#overflow === 'pause' ? Readiness.congested : Readiness.full
  }

  offer(publication: Publication, qos: QoS, retain: boolean): Refusal | undefined {
    if (this.#closed) return 'away'
    this.deliver(publication, qos, retain)
    return undefined
  }

  deliver(publication: Publication, qos: QoS, retain: boolean): void {
    if (this.#closed) return
    const message = this.#pendingNexts.length === 0 ? publication.detach() : publication.message
    const copy = copyOf(message, qos, retain)
    const pendingNext = this.#awaitsRetained ? undefined : this.#pendingNexts.shift()
    if (pendingNext !== undefined) {
      pendingNext.resolve({ done: false, value: copy })
      return
    }
    if (this.#queue.length >= this.#highWaterMark) {
      if (this.#sweepIsDue) this.#sweep()
      if (this.#queue.length >= this.#highWaterMark && this.#overflow !== 'pause') this.#overflows()
    }
    if (this.#closed) return
    this.#queue.push(copy)
    if (this.#listener !== undefined) this.#listen(message.expiresAtOnce && this.#queue.length === 1)
    if (message.expiresAt < this.#firstExpiry && this.#queue.length > 0) this.#sweepAt(message.expiresAt)
    if (this.#queue.length >= this.#highWaterMark) this.backPressure.congest()
  }

  #overflows(): void {
    if (this.#overflow === 'error') {
      this.#error = new Error(`more than ${this.#highWaterMark} messages wait to be taken`)
      if (this.#listener !== undefined) this.#reportError(this.#error)
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
    const now = this.#timers.now()
    const queued = [...this.#queue]
    this.#queue.clear()
    let first = Infinity
    for (const message of queued) {
      const expiry = expiryOf(message)
      if (expiry < now) continue
      this.#queue.push(message)
      if (expiry < first) first = expiry
    }
    this.#sweptAt = now
    this.#firstExpiry = Infinity
    if (first !== Infinity) this.#sweepAt(first)
    if (this.#queue.length <= this.#highWaterMark >> 1) this.backPressure.relieve()
  }

  /** Calls the listener with one message after the other; while it has a promise pending the next message waits. */
  #listen(isFirstLive = false): void {
    if (this.#isListening || this.#listener === undefined) return
    this.#isListening = true // First, because `#next` may resume publishers, which may deliver a message.
    let message = this.#next(isFirstLive)
    while (message !== undefined) {
      try {
        const result = this.#listener(message)
        if (isPromise(result)) {
          result.then(this.#listened, (error: Error) => {
            this.#reportError(error)
            this.#listened()
          })
          return
        }
      } catch (error) {
        this.#reportError(error as Error) // An error must not end the subscription.
      }
      message = this.#next()
    }
    this.#isListening = false
  }

  readonly #listened = (): void => {
    this.#isListening = false
    this.#listen()
  }

  /** `isLive` if the next message was not queued, so that it is passed although its Message Expiry Interval is 0. */
  #next(isLive = false): PublicMessage | undefined {
    if (this.#awaitsRetained) return undefined
    const step = this.#retained?.next()
    if (step?.done === false) return copyOf(step.value, this.#qos < step.value.qos ? this.#qos : step.value.qos, true)
    this.#retained = undefined
    let message = this.#queue.shift()
    while (message !== undefined && !isLive && expiryOf(message) < this.#timers.now()) message = this.#queue.shift()
    if (this.#queue.length > this.#highWaterMark >> 1) return message
    this.backPressure.relieve()
    if (this.#onRoom === undefined || this.#closed) return message
    this.#onRoom()
    return message ?? this.#queue.shift()
  }

  [Symbol.asyncIterator](): AsyncIterator<PublicMessage> {
    return {
      next: () => {
        const message = this.#next()
        if (message !== undefined) return Promise.resolve({ done: false, value: message })
        if (this.#error !== undefined) return Promise.reject(this.#error)
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
    this.#queue.clear()
    this.#end()
    return Promise.resolve()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #end(): void {
    if (this.#closed) return
    this.#closed = true
    this.#timers.cancel(this.#sweepTimer)
    this.backPressure.relieve()
    this.#onClose(this)
    for (const pendingNext of this.#pendingNexts) {
      if (this.#error !== undefined) pendingNext.reject(this.#error)
      else pendingNext.resolve({ done: true, value: undefined })
    }
    this.#pendingNexts = []
  }
}

/** A copy with the QoS and RETAIN of the subscription; it has the expiry time of the message. */
function copyOf(message: Message, qos: QoS, retain: boolean): PublicMessage {
  if (message.qos === qos && message.retain === retain) return message
  const { topic, payload, properties, publisher, expiresAt } = message
  const fields = { topic, payload, qos, retain, properties }
  return expiresAt === Infinity ? fields : new Message(fields, publisher, expiresAt, true)
}

function expiryOf(message: PublicMessage): number {
  return message instanceof Message ? message.expiresAt : Infinity
}
