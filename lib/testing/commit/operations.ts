import type {
  PersistedPublish,
  PersistedQueueItem,
  PersistedSubscription,
  PersistedTarget,
  PersistenceOperation,
} from '../../../types/persistence.ts'
import type { QoS } from '../../../types/packets.ts'
import type { Random } from '../random.ts'
import { ALL_PROPERTIES, publish, subscription, will } from '../values.ts'
import { identifierOf, type StoreModel } from './model.ts'

const clientIds = ['__proto__', 'a', 'a:b', 'constructor', '🦟', 'ab'] as const
const topics: readonly string[] = ['a', 'a/b', '$SYS/a', '/', '__proto__', 'a/', 'constructor', 'dev[1]*', '🦟']
const topicFilters: readonly string[] = [...topics, '+', '#', '$share/group/+/b']
/** The relative frequency of each kind. */
const weights: Readonly<Record<PersistenceOperation['kind'], number>> = {
  publish: 4,
  send: 3,
  release: 1,
  complete: 2,
  discard: 1,
  subscribe: 1,
  unsubscribe: 1,
  session: 2,
  'end session': 1,
  'incoming done': 1,
  will: 1,
}
const kinds: readonly string[] = Object.entries(weights).flatMap(([kind, weight]) => Array<string>(weight).fill(kind))

/** Generates operations of a broker, most on stored objects, some on missing ones. */
export class OperationGenerator {
  readonly #random: Random
  readonly #model: StoreModel
  #counter = 0
  #messageId = 0

  constructor(random: Random, model: StoreModel) {
    this.#random = random
    this.#model = model
  }

  /** Also applies the operation to the model, from which the next one chooses its objects. */
  next(): PersistenceOperation {
    const operation = this.#make(this.#random.pick(kinds))
    this.#model.commit([operation])
    return operation
  }

  #make(chosen: string): PersistenceOperation {
    const random = this.#random
    const clientId = random.pick(clientIds)
    // A session is created before its parts.
    const kind = (chosen === 'subscribe' || chosen === 'will') && !this.#has(clientId) ? 'session' : chosen
    switch (kind) {
      case 'publish':
        return this.#publish()
      case 'send':
        return this.#send(clientId)
      case 'release': {
        const item = this.#pick(clientId, (each) => each.target?.qos === 2 && identifierOf(each) !== undefined)
        return { kind, clientId, messageId: identifierOf(item) ?? 65_535 }
      }
      case 'complete': {
        const item = this.#pick(clientId, (each) => identifierOf(each) !== undefined)
        return { kind, clientId, messageId: identifierOf(item) ?? 65_535 }
      }
      case 'discard': {
        const item = this.#pick(clientId, (each) => each.target !== undefined)
        const { brokerId = 'boot0', brokerCounter = 999_999 } = item?.packet ?? {}
        const others = clientIds.filter((each) => each !== clientId && this.#hasMessage(each, brokerCounter))
        return { kind, clientIds: [clientId, ...others], brokerId, brokerCounter }
      }
      case 'subscribe':
        return { kind, clientId, subscriptions: [this.#subscription(), this.#subscription()] }
      case 'unsubscribe':
        return { kind, clientId, topicFilters: [random.pick(topicFilters), 'never/had'] }
      case 'session':
        return {
          kind,
          clientId,
          session: {
            owner: random.pick([undefined, '__proto__', 'somebody']),
            expiryInterval: random.pick([0, 60, 4_294_967_295]),
            expiresAt: random.pick([null, 1_800_000_000_123]),
          },
        }
      case 'end session':
        return { kind, clientId }
      case 'incoming done': {
        const open = [...(this.#model.sessions.get(clientId)?.incoming ?? [])]
        return { kind, clientId, messageId: random.pick([...open, 65_535]) }
      }
      default:
        return { kind: 'will', clientId, will: random.oneIn(3) ? undefined : this.#will() }
    }
  }

  #publish(): PersistenceOperation {
    const random = this.#random
    this.#counter += 1
    const targets: PersistedTarget[] = clientIds
      .filter((clientId) => this.#has(clientId) && random.oneIn(2))
      .map((clientId) => this.#target(clientId))
    const incoming = { clientId: random.pick(clientIds), messageId: 1 + random.below(20) }
    const fields: Partial<PersistedPublish> = {
      topic: random.pick(topics),
      payload: Buffer.alloc(random.oneIn(4) ? 0 : random.below(200), 'payload'),
      qos: random.pick<QoS>([0, 1, 2]),
      retain: random.oneIn(2),
      brokerId: random.pick(['boot2', 'boot1']),
      brokerCounter: this.#counter,
    }
    const more = { properties: ALL_PROPERTIES, messageExpiry: 1_800_000_000_123, clientId: 'sender', nl: true }
    return {
      kind: 'publish',
      packet: publish(random.oneIn(2) ? { ...fields, ...more } : fields),
      targets,
      retain: random.oneIn(3),
      incoming: this.#has(incoming.clientId) && random.oneIn(4) ? incoming : undefined,
    }
  }

  #has(clientId: string): boolean {
    return this.#model.sessions.has(clientId)
  }

  #target(clientId: string): PersistedTarget {
    const random = this.#random
    // A message is sent at once only if no message waits before it.
    const atOnce = this.#model.sessions.get(clientId)?.waiting.length === 0 && random.oneIn(2)
    return {
      clientId,
      qos: random.pick<QoS>([1, 2]),
      retain: random.oneIn(2),
      subscriptionIdentifiers: random.pick([undefined, [1], [268_435_455, 2]]),
      sharedFilter: random.oneIn(4) ? '$share/group/#' : undefined,
      messageId: atOnce ? this.#nextMessageId() : undefined,
    }
  }

  #send(clientId: string): PersistenceOperation {
    const session = this.#model.sessions.get(clientId)
    const unreleased = session?.sent.filter((item) => item.target !== undefined) ?? []
    const again = unreleased.length > 0 && this.#random.oneIn(5) ? this.#random.pick(unreleased) : undefined
    const item = again ?? session?.waiting[0]
    const { brokerId = 'boot0', brokerCounter = 999_999 } = item?.packet ?? {}
    return { kind: 'send', clientId, brokerId, brokerCounter, messageId: this.#nextMessageId() }
  }

  #subscription(): PersistedSubscription {
    const random = this.#random
    const fields: Partial<PersistedSubscription> = {
      qos: random.pick<QoS>([0, 1, 2]),
      rh: random.pick([0, 1, 2] as const),
      rap: random.oneIn(2),
      nl: random.oneIn(2),
      subscriptionIdentifier: random.pick([undefined, 1, 268_435_455]),
    }
    const granted = { grantedTopic: 'tenant/a', requestedQos: 2, byApplication: true, ownCopy: true } as const
    return subscription(random.pick(topicFilters), random.oneIn(3) ? { ...fields, ...granted } : fields)
  }

  #will(): ReturnType<typeof will> {
    const properties = { ...ALL_PROPERTIES, willDelayInterval: 4_294_967_295 }
    const fields = this.#random.oneIn(2) ? { properties, dueAt: 1_800_000_000_123 } : {}
    return will(this.#random.pick(topics), fields)
  }

  #pick(clientId: string, wanted: (item: PersistedQueueItem) => boolean): PersistedQueueItem | undefined {
    const session = this.#model.sessions.get(clientId)
    const items = [...(session?.sent ?? []), ...(session?.waiting ?? [])].filter(wanted)
    return items.length === 0 ? undefined : this.#random.pick(items)
  }

  #hasMessage(clientId: string, brokerCounter: number): boolean {
    const session = this.#model.sessions.get(clientId)
    const items = [...(session?.sent ?? []), ...(session?.waiting ?? [])]
    return items.some((item) => item.target !== undefined && item.packet.brokerCounter === brokerCounter)
  }

  /** No queue is so long that an identifier could repeat. */
  #nextMessageId(): number {
    this.#messageId = (this.#messageId % 65_000) + 1
    return this.#messageId
  }
}
