import type { Gauges, Statistics } from '../statistics.ts'
import type { Timer, Timers } from '../timers.ts'
import { version } from '../version.ts'
import { Message } from './message.ts'
import { Publication } from './publication.ts'
import type { Router } from './router.ts'

interface SysTopicsContext extends Gauges {
  readonly timers: Timers
  readonly router: Router
  readonly statistics: Statistics
}

/** Publishes the statistics of the broker under `$SYS/broker/`, retained, with the names of mosquitto. */
export class SysTopics {
  readonly #broker: SysTopicsContext
  readonly #intervalMs: number
  readonly #startedAt: number
  readonly #last = new Map<string, string>()
  #timer: Timer | undefined

  constructor(broker: SysTopicsContext, intervalMs: number) {
    this.#broker = broker
    this.#intervalMs = intervalMs
    this.#startedAt = broker.timers.now()
  }

  start(): void {
    this.#publish('version', `haltere version ${version}`)
    this.#update()
  }

  stop(): void {
    this.#broker.timers.cancel(this.#timer)
  }

  #update(): void {
    const { sessions, statistics, retained, subscriptions, timers, queueTotals } = this.#broker
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

  /** Publishes a number only when it changed. */
  #publish(name: string, value: string | number): void {
    const string = String(value)
    if (this.#last.get(name) === string) return
    this.#last.set(name, string)
    const fields = { topic: `$SYS/broker/${name}`, payload: Buffer.from(string), qos: 0, retain: true } as const
    this.#broker.router.publish(new Publication(new Message(fields, undefined, Infinity)))
  }
}
