import type { Core } from '../core.ts'
import type { Timer } from '../timers.ts'
import { version } from '../version.ts'
import { Message } from './message.ts'
import { Publication } from './publication.ts'

/** Publishes what the broker counts under `$SYS/broker/`, retained, with the names that mosquitto gave them. */
export class SysTopics {
  readonly #core: Core
  readonly #intervalMs: number
  readonly #startedAt: number
  readonly #last = new Map<string, string>()
  #timer: Timer | undefined

  constructor(core: Core, intervalMs: number) {
    this.#core = core
    this.#intervalMs = intervalMs
    this.#startedAt = core.timers.now()
  }

  start(): void {
    this.#publish('version', `haltere version ${version}`)
    this.#update()
  }

  stop(): void {
    this.#core.timers.cancel(this.#timer)
  }

  #update(): void {
    const { sessions, statistics, retained, subscriptions, timers, queueTotals } = this.#core
    const total = sessions.size
    const connected = statistics.clientsConnected
    this.#publish('uptime', `${Math.floor((timers.now() - this.#startedAt) / 1000)} seconds`)
    this.#publish('clients/total', total)
    this.#publish('clients/connected', connected)
    this.#publish('clients/disconnected', total - connected)
    this.#publish('clients/maximum', statistics.clientsMaximum)
    this.#publish('messages/received', statistics.messagesReceived)
    this.#publish('messages/sent', statistics.messagesSent)
    this.#publish('publish/messages/received', statistics.publishReceived)
    this.#publish('publish/messages/sent', statistics.publishSent)
    this.#publish('publish/messages/dropped', statistics.publishDropped)
    this.#publish('publish/bytes/received', statistics.publishBytesReceived)
    this.#publish('publish/bytes/sent', statistics.publishBytesSent)
    this.#publish('bytes/received', statistics.bytesReceived)
    this.#publish('bytes/sent', statistics.bytesSent)
    this.#publish('subscriptions/count', subscriptions.size)
    this.#publish('shared_subscriptions/count', subscriptions.sharedSize)
    this.#publish('retained messages/count', retained.size)
    this.#publish('store/messages/count', queueTotals.messages + retained.size)
    this.#publish('store/messages/bytes', queueTotals.bytes + retained.bytes)
    this.#timer = timers.after(this.#intervalMs, () => this.#update())
  }

  /** Only what changed. */
  #publish(name: string, value: string | number): void {
    const text = String(value)
    if (this.#last.get(name) === text) return
    this.#last.set(name, text)
    const fields = { topic: `$SYS/broker/${name}`, payload: Buffer.from(text), qos: 0, retain: true } as const
    this.#core.router.publish(new Publication(new Message(fields, undefined, Infinity)))
  }
}
