import type { Emitter, EmitterMessage } from '../../types/emitter.ts'
import type { MessageProperties } from '../../types/properties.ts'
import type { PersistedTarget, PersistenceOperation } from '../../types/persistence.ts'
import type { Core } from '../core.ts'
import type { CommitQueue } from '../storage/commit-queue.ts'
import { packetOf } from '../storage/stored-message.ts'
import { Message } from '../messages/message.ts'
import { faultInMessageProperties } from '../packets/properties.ts'
import type { SharedReading } from '../../types/storage.ts'
import { isValidTopicName } from '../topics/topic-name.ts'
import { Membership, type MembershipListener } from './membership.ts'
import { SessionOwnership } from './session-ownership.ts'
import { queueOf, ReplicationInfo } from './replication-info.ts'

/**
 * The brokers that share an emitter. Each gives the others what it publishes, when its store has it, and gives its own
 * Clients what the others publish; with a store that they share too, sessions go from one to the other.
 */
export class EmitterCluster implements MembershipListener {
  /** Undefined while, or when, each broker has sessions of its own. */
  #ownership: SessionOwnership | undefined
  readonly #core: Core
  readonly #membership: Membership

  constructor(core: Core, emitter: Emitter) {
    this.#core = core
    this.#membership = new Membership(emitter, core.bootId, core.timers, this)
  }

  /** Resolves when the others are known. */
  start(): Promise<void> {
    return this.#membership.start()
  }

  async shareSessions(store: CommitQueue, shared: SharedReading): Promise<SessionOwnership> {
    this.#ownership = new SessionOwnership(this.#core, store, shared, this.#membership)
    await this.#ownership.start()
    return this.#ownership
  }

  async stop(): Promise<void> {
    this.#ownership?.stop()
    await this.#membership.stop()
  }

  /** Gives a message to the other brokers; one that is told to the store when it is safe. */
  publish(message: Message): void {
    if (message.topic.startsWith('$SYS/')) return // Each broker has its own.
    if (this.#core.commits?.isInOpenBatch(message) === true && message.replication !== undefined)
      message.replication.awaitsReplication = true
    else this.#send(message, [])
  }

  /** The store has all of this. */
  committed(operations: readonly PersistenceOperation[]): void {
    for (const operation of operations) {
      if (operation.kind !== 'publish') {
        this.#ownership?.committed(operation)
        continue
      }
      const { message, targets } = operation as typeof operation & { readonly message?: Message }
      if (message?.replication?.awaitsReplication !== true || message.isRejected) continue
      message.replication.awaitsReplication = false
      this.#send(message, targets)
    }
  }

  #send(message: Message, targets: readonly PersistedTarget[]): void {
    const { topic, payload, qos, retain, properties, publisher, stored, expiresAt, replication } = message
    this.#membership.publish({
      cmd: 'publish',
      topic,
      payload,
      qos,
      retain,
      ...(properties !== undefined && { properties }),
      ...(publisher !== undefined && { clientId: publisher }),
      ...(expiresAt !== Infinity && { messageExpiry: this.#core.timers.toWallClock(expiresAt) }),
      ...(stored !== undefined && { storedAs: [stored.brokerId, stored.brokerCounter] }),
      ...(targets.length > 0 && { storedFor: targets.map((target) => queueOf(target.clientId, target.sharedFilter)) }),
      ...(replication !== undefined && replication.choices.length > 0 && { choices: replication.choices }),
      ...(replication?.sharedOnly === true && { onlyShared: true }),
      ...(message.isReplay && { isResumed: true }),
    })
  }

  // ─── what comes ──────────────────────────────────────────────────────────────────────────────────────────────────

  onMessage(message: EmitterMessage): void {
    const received = this.#messageOf(message)
    if (received === undefined) return
    if (received.retain && received.replication?.sharedOnly !== true) this.#core.retained.store(received)
    this.#core.router.distribute(received)
  }

  onNotice(kind: string, body: unknown, from: string): void {
    this.#ownership?.onNotice(kind, body, from)
  }

  onRequest(kind: string, body: unknown, from: string): unknown {
    return this.#ownership?.onRequest(kind, body, from)
  }

  onGap(): void {
    this.#ownership?.onGap()
  }

  onJoin(): void {
    // It asks for what it must know.
  }

  onLeave(id: string): void {
    this.#ownership?.onLeave(id)
  }

  onError(error: Error): void {
    this.#core.reportError(error)
  }

  /** What another broker put there, looked at as closely as what a Client sends; undefined when it is no message. */
  #messageOf(fields: EmitterMessage): Message | undefined {
    const { topic, payload, qos, retain, clientId, messageExpiry } = fields
    const { settings, timers } = this.#core
    if (!isValidTopicName(topic, settings.limits.maxTopicLevels) || topic.startsWith('$SYS/')) return undefined
    if (!(payload instanceof Uint8Array) || (qos !== 0 && qos !== 1 && qos !== 2)) return undefined
    const properties = isObject(fields.properties) ? (fields.properties as MessageProperties) : undefined
    if (properties !== undefined && faultInMessageProperties(properties) !== undefined) return undefined
    const interval = properties?.messageExpiryInterval
    const expiresAt =
      typeof messageExpiry === 'number'
        ? timers.fromWallClock(messageExpiry)
        : interval === undefined
          ? Infinity
          : timers.now() + interval * 1000
    const message = new Message(
      topic,
      Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength),
      qos,
      retain === true,
      properties,
      typeof clientId === 'string' ? clientId : undefined,
      expiresAt,
    )
    const [brokerId, brokerCounter] = listOf(fields.storedAs)
    if (typeof brokerId === 'string' && typeof brokerCounter === 'number') {
      message.stored = packetOf(message, { brokerId, brokerCounter }, timers)
      message.isReplay = fields.isResumed === true
    }
    message.replication = new ReplicationInfo(
      true,
      fields.onlyShared === true,
      new Set(listOf(fields.storedFor).filter((queue) => typeof queue === 'string')),
      listOf(fields.choices).filter(isPairOfTexts),
    )
    return message
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function isPairOfTexts(value: unknown): value is [string, string] {
  return Array.isArray(value) && typeof value[0] === 'string' && typeof value[1] === 'string'
}
