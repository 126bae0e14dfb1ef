/** The environment of a session, without a broker. */
import assert from 'node:assert/strict'
import { FlushScheduler } from '../../lib/flush-scheduler.ts'
import { Hooks } from '../../lib/hooks.ts'
import { Message } from '../../lib/messages/message.ts'
import type { OutgoingPublish } from '../../lib/messages/outgoing-publish.ts'
import { Publication } from '../../lib/messages/publication.ts'
import type { QueuedMessage } from '../../lib/messages/queued-message.ts'
import { RetainedMessages } from '../../lib/messages/retained-messages.ts'
import type { DeliverySource } from '../../lib/messages/subscriber.ts'
import type { Delivery } from '../../lib/sessions/delivery.ts'
import type { SessionConnection } from '../../lib/sessions/session-connection.ts'
import { QueueTotals } from '../../lib/sessions/outbound-queue.ts'
import { SharedQueues } from '../../lib/sessions/shared-queues.ts'
import { QueueExpiry } from '../../lib/sessions/queue-expiry.ts'
import type { SessionEnvironment } from '../../lib/sessions/session-environment.ts'
import type { SessionStorage } from '../../lib/sessions/session-storage.ts'
import { Timers } from '../../lib/timers.ts'
import type { Client } from '../../types/client.ts'
import type { Limits } from '../../types/options.ts'
import type { QoS } from '../../types/packets.ts'
import { defaultLimits } from '../broker/limits.ts'
import { ManualClock } from '../support/clock.ts'

export const client = {} as Client

export interface Scene {
  readonly environment: SessionEnvironment
  readonly clock: ManualClock
  readonly timers: Timers
  readonly hooks: Hooks
  readonly retained: RetainedMessages
  /** Messages that a subscriber did not get, as `payload reason`. */
  readonly dropped: string[]
}

export function scene(limits: Partial<Limits> = {}): Scene {
  const settings = { limits: { ...defaultLimits, ...limits } }
  const clock = new ManualClock()
  const timers = new Timers(clock, assert.ifError)
  const hooks = new Hooks(timers, 1000, assert.ifError)
  const retained = new RetainedMessages(timers, settings.limits, () => undefined)
  const dropped: string[] = []
  const environment: SessionEnvironment = {
    settings,
    timers,
    scheduler: new FlushScheduler(assert.ifError),
    hooks,
    retained,
    queueTotals: new QueueTotals(),
    expiry: new QueueExpiry(timers),
    shared: new SharedQueues(),
    passOn: () => false,
    dropped: (message, _clientId, why) => dropped.push(`${message.payload.toString()} ${why}`),
  }
  return { environment, clock, timers, hooks, retained, dropped }
}

/** A message that came by one subscription of the session itself. */
export const direct: DeliverySource = { identifiers: undefined, sharedFilter: undefined, parts: undefined }

/** A message that came by a shared subscription. */
export function shared(sharedFilter: string): DeliverySource {
  return { identifiers: undefined, sharedFilter, parts: undefined }
}

export function messageOf(payload: string | Buffer, qos: QoS = 1, expiresAt: number = Infinity): Message {
  return new Message(
    { topic: 't', payload: Buffer.from(payload as string), qos, retain: false },
    'publisher',
    expiresAt,
  )
}

export function publicationOf(payload: string | Buffer, qos: QoS = 1, expiresAt: number = Infinity): Publication {
  return new Publication(messageOf(payload, qos, expiresAt))
}

/** A Network Connection that records the packets. */
export class TestConnection implements SessionConnection {
  readonly receiveMaximum: number
  outboundFull = false
  outboundBusy = false
  /** Bytes of a payload that the Client accepts. */
  maximumPayload: number = Infinity
  readonly #sent: string[] = []

  constructor(receiveMaximum = 65_535) {
    this.receiveMaximum = receiveMaximum
  }

  publish({ message, qos, packetId, dup, retain }: OutgoingPublish): boolean {
    if (message.payload.length > this.maximumPayload) return false
    const start = qos === 0 ? 'publish' : `publish ${packetId}`
    this.#sent.push(`${start} ${message.payload.toString()}${dup ? ' dup' : ''}${retain ? ' retained' : ''}`)
    return true
  }

  publishQos0(message: Message, retain: boolean): boolean {
    return this.publish({
      message,
      qos: 0,
      retain,
      dup: false,
      packetId: 0,
      subscriptionIdentifiers: undefined,
      encodings: undefined,
    })
  }

  pubrel(packetId: number): void {
    this.#sent.push(`pubrel ${packetId}`)
  }

  sessionTakenOver(): void {
    this.#sent.push('taken over')
  }

  /** Returns the packets since the last call. */
  sent(): string[] {
    return this.#sent.splice(0)
  }
}

/** The storage of one session whose changes are committed when the test says so. */
export class ManualStorage implements SessionStorage {
  readonly isDurable: boolean
  /** The number of the open batch. */
  open = 1
  readonly #changes: string[] = []
  #listeners: (() => void)[] = []

  constructor(isDurable = true) {
    this.isDurable = isDurable
  }

  publicationOf({ message }: QueuedMessage): Publication {
    return new Publication(message)
  }

  isQueuedByPeer({ replication }: Publication, { sharedFilter }: DeliverySource): boolean {
    return this.isDurable && replication?.isStoredFor('c', sharedFilter) === true
  }

  queued(_publication: Publication | undefined, delivery: Delivery): void {
    if (!this.isDurable) return
    delivery.storage = delivery.packetId === 0 ? 'queued' : 'sent'
    delivery.commitNumber = this.open
    this.#add(delivery.packetId === 0 ? 'queued' : `sent at once ${delivery.packetId}`, delivery)
  }

  queuedAsByPeer(_publication: Publication, delivery: Delivery): void {
    delivery.storage = 'queued by peer'
    this.#add('queued as by a peer', delivery)
  }

  sent(delivery: Delivery): void {
    if (!this.isDurable) return
    delivery.storage = 'sent'
    delivery.commitNumber = this.open
    this.#add(`sent ${delivery.packetId}`, delivery)
  }

  completed(delivery: Delivery): void {
    this.#add('completed', delivery)
  }

  discarded(delivery: Delivery): number {
    this.#add('discarded', delivery)
    return this.open
  }

  released(packetId: number): void {
    this.#changes.push(`released ${packetId}`)
  }

  subscribed(): void {}
  unsubscribed(): void {}
  received(): void {}
  receivedReleased(): void {}

  isCommitted(commitNumber: number): boolean {
    return commitNumber < this.open
  }

  afterCommit(onCommitted: () => void): void {
    this.#listeners.push(onCommitted)
  }

  commit(): void {
    this.open += 1
    const listeners = this.#listeners
    this.#listeners = []
    for (const listener of listeners) listener()
  }

  /** Returns the changes since the last call. */
  changes(): string[] {
    return this.#changes.splice(0)
  }

  #add(what: string, { content }: Delivery): void {
    this.#changes.push(`${what} ${content.message.payload.toString()}`)
  }
}
