import type { DropReason } from '../../types/events.ts'
import type { QoS } from '../../types/packets.ts'
import type { Delivery } from '../sessions/delivery.ts'
import type { SharedQueues } from '../sessions/shared-queues.ts'
import type { SharedGroup } from '../topics/shared-subscriptions.ts'
import type { Message } from './message.ts'
import { Publication } from './publication.ts'
import { ReplicationInfo } from './replication-info.ts'
import { Readiness, type Refusal, type Subscriber, type Subscription } from './subscriber.ts'
import type { Subscriptions } from './subscriptions.ts'

type Group = SharedGroup<Subscription>

/** The parts of the broker that are used here. */
export interface GroupDeliveryEnvironment {
  readonly subscriptions: Subscriptions
  readonly shared: SharedQueues
  /** The broker is in a cluster, so publications are replicated to peers. */
  readonly joinsBrokers: boolean
  /** Called with every publication of this broker, for the emitter. */
  published(publication: Publication): void
  /** Called for a message that no member receives. */
  dropped(message: Message, clientId: string, why: DropReason): void
}

function canSendNow(subscription: Subscription): boolean {
  return subscription.subscriber.canSendNow
}

function isOwn({ subscriber }: Subscription): boolean {
  return subscriber.isRemote !== true
}

/** How well a member can take the publication; undefined for a member that is not asked. */
function readiness(
  { subscriber, qos }: Subscription,
  publication: Publication,
  refusedBy: ReadonlySet<string | undefined>,
): Readiness | undefined {
  if (refusedBy.has(subscriber.clientId)) return undefined
  if (publication.fromPeer && subscriber.isRemote === true) return undefined
  const { message } = publication
  return subscriber.readiness(publication, qos < message.qos ? qos : message.qos)
}

/** The member that the publishing broker chose. If that broker knew no member, each broker chooses one of its own. */
function chosenByPeer(group: Group, replication: ReplicationInfo): Subscription | undefined {
  if (replication.isForExclusive) return undefined
  const chosen = replication.chosen(group.sharedFilter)
  if (chosen === undefined) return group.next(isOwn)
  return group.members.find(({ subscriber }) => subscriber.clientId === chosen)
}

const NOBODY: readonly never[] = []
// Messages that were sent come before those that wait, in their order.
const BEFORE_ALL = -(2 ** 52)

/** Delivers each message to one member of a shared subscription: the next one that can take it (section 4.8.2). */
export class GroupDelivery {
  readonly #environment: GroupDeliveryEnvironment
  #congested: Subscriber | undefined
  /** The member that refused the last message. */
  #refusing: string | undefined

  constructor(environment: GroupDeliveryEnvironment) {
    this.#environment = environment
  }

  /** The member that took the last message, if it is congested: then all connected members are. */
  get congested(): Subscriber | undefined {
    return this.#congested
  }

  /** Delivers a message, or drops it if no member can take it. Returns false if no member is here. */
  deliver(group: Group, publication: Publication): boolean {
    this.#congested = undefined
    const { replication } = publication
    if (replication?.fromPeer === true) return this.#deliverFromPeer(group, publication, replication)
    const member = group.next(canSendNow)
    const refusal = member === undefined ? 'away' : this.#offer(member, group, publication)
    if (refusal !== undefined) this.#deliverToAny(group, publication, member, refusal)
    return true
  }

  /** The publishing broker chose the member. If that is of another broker, it delivers the message. */
  #deliverFromPeer(group: Group, publication: Publication, replication: ReplicationInfo): boolean {
    const member = chosenByPeer(group, replication)
    if (member === undefined) return false
    const refusal = this.#offer(member, group, publication)
    if (refusal !== undefined && isOwn(member)) this.#deliverToAny(group, publication, member, refusal)
    return true
  }

  /** Returns undefined if the member takes the message. */
  #offer(member: Subscription, group: Group, publication: Publication): Refusal | undefined {
    const { message, replication } = publication
    const { subscriber } = member
    if (replication?.fromPeer === false) replication.choose(group.sharedFilter, subscriber.clientId)
    const qos = Math.min(member.qos, message.qos) as QoS // [MQTT-4.8.2-3]
    return subscriber.offer(publication, qos, member.retainAsPublished && message.retain, member)
  }

  /** The first member that was asked, if any, did not take the message. */
  #deliverToAny(group: Group, publication: Publication, first: Subscription | undefined, refusal: Refusal): void {
    this.#refusing = first?.subscriber.clientId
    const isOver = refusal === 'expired'
    const refusedBy = first === undefined ? NOBODY : [first.subscriber.clientId]
    const last = isOver ? refusal : this.#offerToAny(group, publication, refusal, refusedBy)
    if (last === undefined || last === 'away') return
    this.#environment.dropped(publication.message, this.#refusing ?? '', last)
  }

  /** Offers the message to one member after the other, the readiest first. `refusal` is of one that was asked before. */
  #offerToAny(
    group: Group,
    publication: Publication,
    refusal: Refusal,
    refusedBefore: Iterable<string | undefined>,
  ): Refusal | undefined {
    const refusedBy = new Set(refusedBefore)
    let last = refusal
    for (;;) {
      const member = group.best(readiness, publication, refusedBy, Readiness.now)
      if (member === undefined) return last
      const { subscriber } = member
      const isLast = (readiness(member, publication, refusedBy) ?? Readiness.away) <= Readiness.full
      const answer = this.#offer(member, group, publication)
      if (answer === undefined) {
        if (subscriber.backPressure?.isCongested === true) this.#congested = subscriber
        return undefined
      }
      this.#refusing = subscriber.clientId
      if (answer !== 'away' || last === 'away') last = answer
      if (isLast || answer === 'expired') return last // All others are away or full, too.
      refusedBy.add(subscriber.clientId)
    }
  }

  /** A member cannot take a message: offers it to the others. Returns false if none of them can take it. */
  passOn(delivery: Delivery, clientId: string): boolean {
    const { subscriptions, shared } = this.#environment
    const { sharedFilter } = delivery.via
    const group = sharedFilter === undefined ? undefined : subscriptions.group(sharedFilter)
    if (group === undefined) return false
    const refusedBy = new Set([...(shared.refusedBy(delivery.content) ?? []), clientId])
    const copy = this.#copyOf(delivery)
    shared.refuse(copy.queued, refusedBy)
    if (this.#offerToAny(group, copy, 'away', refusedBy) !== undefined) return false
    this.#publish(copy)
    return true
  }

  /**
   * Delivers messages of a member that left its shared subscription to the others (section 4.8.2): first those that were
   * sent to it, then those that waited for it, each in its place among those that wait for others.
   */
  redistribute(orphans: readonly Delivery[], clientId: string): void {
    const { subscriptions, shared, dropped } = this.#environment
    for (const delivery of orphans) {
      const { sharedFilter } = delivery.via
      const group = sharedFilter === undefined ? undefined : subscriptions.group(sharedFilter)
      if (group === undefined) {
        if (!delivery.sentBefore) dropped(delivery.message, clientId, 'no-member')
        continue
      }
      const copy = this.#copyOf(delivery)
      const refusedBy = shared.refusedBy(delivery.content)
      const wasSent = delivery.packetId !== 0
      if (refusedBy !== undefined) shared.refuse(copy.queued, refusedBy)
      else shared.keepPlace(copy.queued, wasSent ? BEFORE_ALL + delivery.sendSequence : delivery.sendSequence)
      const refusal = this.#offerToAny(group, copy, 'away', refusedBy ?? NOBODY)
      if (refusal === undefined) this.#publish(copy)
      else dropped(delivery.message, this.#refusing ?? clientId, refusal === 'away' ? 'queue-full' : refusal)
    }
  }

  #copyOf(delivery: Delivery): Publication {
    const copy = Publication.copyOf(delivery)
    if (this.#environment.joinsBrokers) copy.replication = new ReplicationInfo(false, true)
    return copy
  }

  #publish(copy: Publication): void {
    if (this.#environment.joinsBrokers) this.#environment.published(copy)
  }
}
