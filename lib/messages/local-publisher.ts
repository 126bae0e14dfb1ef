import type { MessageInit } from '../../types/message.ts'
import type { Limits } from '../../types/options.ts'
import { type ApplicationCall, publishingCall, waitIn, wouldWaitForItself } from '../application-calls.ts'
import { MqttError } from '../errors.ts'
import type { Notify } from '../events.ts'
import type { Lifecycle } from '../lifecycle.ts'
import type { BackPressure, Pausable } from '../sessions/back-pressure.ts'
import type { CommitQueue } from '../storage/commit-queue.ts'
import { storageRefusal } from '../storage/storage-refusal.ts'
import type { Timers } from '../timers.ts'
import { checkMessage, checkMessageSize } from './message-fields.ts'
import { Message } from './message.ts'
import { Publication } from './publication.ts'
import type { RetainedMessages } from './retained-messages.ts'
import type { Router } from './router.ts'

/** The parts of the broker that a message of the application needs. */
export interface LocalPublisherContext {
  readonly limits: Readonly<Limits>
  readonly timers: Timers
  readonly retained: RetainedMessages
  readonly router: Router
  readonly commits: CommitQueue | undefined
  readonly lifecycle: Lifecycle
  readonly notify: Notify
}

// Publications and copies in one turn of the event loop, before further publications wait for the next turn.
const WORK_PER_TURN = 1024

/**
 * The application as a publisher. A publication takes effect at once, but its promise is back-pressure: it waits for the
 * next turn of the event loop when much was published in this one, and for a receiver that has fallen behind.
 */
export class LocalPublisher {
  readonly #broker: LocalPublisherContext
  #work = 0
  /** Settles at the end of this turn; undefined while the work of the turn is below its limit. */
  #turn: Promise<void> | undefined
  /** Is used again until a receiver pauses it. */
  #spare: LocalPause | undefined

  constructor(broker: LocalPublisherContext) {
    this.#broker = broker
  }

  /** Publishes a message of the application, without a call of hooks. See `Broker.publish` for the errors. */
  async publish(init: MessageInit, signal?: AbortSignal): Promise<void> {
    const { limits, timers, lifecycle, retained, router, commits, notify } = this.#broker
    checkMessage(init, limits.maxTopicLevels)
    const message = Message.of(init, undefined, timers)
    checkMessageSize(message)
    const call = publishingCall()
    await lifecycle.restored
    if (message.retain && !retained.hasRoomFor(message)) {
      throw new MqttError('quota-exceeded', 'too many retained messages')
    }
    const publication = new Publication(message)
    const pause = this.#distribute(publication, call)
    notify('published', publication.message, undefined, false)
    try {
      if (commits?.isInOpenBatch(publication) === true) {
        commits.markRejectable(publication)
        await committed(commits, () => router.rollback(publication))
      }
      if (this.#turn !== undefined) await this.#turn
      if (pause?.isPaused === true) await this.#resumed(pause, signal)
    } finally {
      pause?.end()
    }
  }

  /** Passes the message to the router. Returns the pause by a receiver that has fallen behind; undefined without one. */
  #distribute(publication: Publication, call: ApplicationCall | undefined): LocalPause | undefined {
    const pause = this.#spare ?? new LocalPause()
    this.#spare = undefined // A listener that is called meanwhile may publish.
    this.#count(this.#broker.router.publish(publication, pause))
    if (!pause.isPaused) {
      this.#spare = pause
      return undefined
    }
    pause.begin(call)
    return pause
  }

  #count(copies: number): void {
    this.#work += 1 + copies
    if (this.#work < WORK_PER_TURN || this.#turn !== undefined) return
    this.#turn = new Promise((resolve) => {
      setImmediate(() => {
        this.#work = 0
        this.#turn = undefined
        resolve()
      })
    })
  }

  /** Resolves when the receiver has caught up or is slow, and with the signal. Never rejects: the message is published. */
  async #resumed(pause: LocalPause, signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted === true) return
    const { timers, limits } = this.#broker
    const end = (): void => pause.end()
    // A hook has a time limit of its own, which must not end because of a receiver.
    const timer = pause.isOfHook ? timers.after(Math.min(limits.holdBackMs, limits.hookTimeoutMs / 2), end) : undefined
    signal?.addEventListener('abort', end, { once: true })
    await pause.resumed()
    signal?.removeEventListener('abort', end)
    timers.cancel(timer)
  }
}

/** A publication of the application, as a publisher that a receiver pauses. */
class LocalPause implements Pausable {
  /** The receiver that pauses it; undefined when it is not paused. */
  #by: BackPressure | undefined
  #call: ApplicationCall | undefined
  #endWait: (() => void) | undefined
  #resolve: (() => void) | undefined

  get isPaused(): boolean {
    return this.#by !== undefined
  }

  /** The publication is made in a hook. */
  get isOfHook(): boolean {
    return this.#call?.isHook === true
  }

  pause(by?: BackPressure): void {
    this.#by = by
  }

  /** The publication waits for the receiver, unless the receiver waits for the code that publishes. */
  begin(call: ApplicationCall | undefined): void {
    const by = this.#by
    if (by === undefined) return
    this.#call = call
    if (by.isUnattended || wouldWaitForItself(call, by)) this.end()
    else this.#endWait = waitIn(call, by)
  }

  resume(): void {
    this.#by = undefined
    this.#endWait?.()
    this.#resolve?.()
  }

  /** Ends the pause, also before the receiver does. */
  end(): void {
    if (this.#by === undefined) return
    this.#by.forget(this)
    this.resume()
  }

  resumed(): Promise<void> {
    return new Promise((resolve) => {
      this.#resolve = resolve
    })
  }
}

/** Waits for the commit. If it fails, calls `undo` at once, before changes count as done, and rejects. */
export function committed(commits: Pick<CommitQueue, 'afterCommit'>, undo: () => void = nothing): Promise<void> {
  return new Promise((resolve, reject) => {
    commits.afterCommit(resolve, (error) => {
      undo()
      reject(storageRefusal(error))
    })
  })
}

function nothing(): void {
  // There is nothing to undo, or the change is committed later.
}
