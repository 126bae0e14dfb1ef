import type { Emitter, EmitterMessage } from '../../types/emitter.ts'
import type { MessageProperties } from '../../types/properties.ts'
import type { PersistedTarget, PersistenceOperation } from '../../types/persistence.ts'
import type { Core } from '../core.ts'
import type { Store } from '../durability/store.ts'
import { packetOf } from '../durability/stored-message.ts'
import { Message } from '../messages/message.ts'
import { faultInMessageProperties } from '../packets/properties.ts'
import type { SharedReading } from '../persistence/backend.ts'
import { isValidTopicName } from '../topics/topic-name.ts'
import { Cluster, type ClusterOwner } from './cluster.ts'
import { SharedSessions } from './shared-sessions.ts'
import { queueOf, Travel } from './travel.ts'

/**
 * The brokers that share an emitter. Each gives the others what it publishes, when its store has it, and gives its own
 * Clients what the others publish; with a store that they share too, sessions go from one to the other.
 */
export class Brokers implements ClusterOwner {
  /** Undefined while, or when, each broker has sessions of its own. */
  #sessions: SharedSessions | undefined
  readonly #core: Core
  readonly #cluster: Cluster

  constructor(core: Core, emitter: Emitter) {
    this.#core = core
    this.#cluster = new Cluster(emitter, core.bootId, core.timers, this)
  }

  /** Resolves when the others are known. */
  start(): Promise<void> {
    return this.#cluster.start()
  }

  async shareSessions(store: Store, shared: SharedReading): Promise<SharedSessions> {
    this.#sessions = new SharedSessions(this.#core, store, shared, this.#cluster)
    await this.#sessions.start()
    return this.#sessions
  }

  async stop(): Promise<void> {
    this.#sessions?.stop()
    await this.#cluster.stop()
  }

  /** Gives a message to the other brokers; one that is told to the store when it is safe. */
  publish(message: Message): void {
    if (message.topic.startsWith('$SYS/')) return // Each broker has its own.
    if (this.#core.store?.tells(message) === true && message.travel !== undefined) message.travel.isDue = true
    else this.#send(message, [])
  }

  /** The store has all of this. */
  committed(operations: readonly PersistenceOperation[]): void {
    for (const operation of operations) {
      if (operation.kind !== 'publish') {
        this.#sessions?.committed(operation)
        continue
      }
      const { message, targets } = operation as typeof operation & { readonly message?: Message }
      if (message?.travel?.isDue !== true || message.isRefused) continue
      message.travel.isDue = false
      this.#send(message, targets)
    }
  }

  #send(message: Message, targets: readonly PersistedTarget[]): void {
    const { topic, payload, qos, retain, properties, publisher, stored, expiresAt, travel } = message
    this.#cluster.publish({
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
      ...(travel !== undefined && travel.choices.length > 0 && { choices: travel.choices }),
      ...(travel?.onlyShared === true && { onlyShared: true }),
      ...(message.isResumed && { isResumed: true }),
    })
  }

  // ─── what comes ──────────────────────────────────────────────────────────────────────────────────────────────────

  received(message: EmitterMessage): void {
    const received = this.#messageOf(message)
    if (received === undefined) return
    if (received.retain && received.travel?.onlyShared !== true) this.#core.retained.store(received)
    this.#core.router.distribute(received)
  }

  told(kind: string, body: unknown, from: string): void {
    this.#sessions?.told(kind, body, from)
  }

  asked(kind: string, body: unknown, from: string): unknown {
    return this.#sessions?.asked(kind, body, from)
  }

  missed(): void {
    this.#sessions?.missed()
  }

  joined(): void {
    // It asks for what it must know.
  }

  left(id: string): void {
    this.#sessions?.left(id)
  }

  failed(error: Error): void {
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
      message.isResumed = fields.isResumed === true
    }
    message.travel = new Travel(
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
