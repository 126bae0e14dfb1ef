import { ReplicationInfo } from './replication-info.ts'
import type { FlushScheduler } from '../flush-scheduler.ts'
import type { Pausable } from '../sessions/back-pressure.ts'
import type { CommitQueue } from '../storage/commit-queue.ts'
import type { SharedGroup } from '../topics/shared-subscriptions.ts'
import { isOfBroker } from '../topics/sys-topic.ts'
import type { QoS } from '../../types/packets.ts'
import type { GroupDelivery } from './group-delivery.ts'
import { Publication } from './publication.ts'
import { RetainedChanges } from './retained-changes.ts'
import type { RetainedMessages } from './retained-messages.ts'
import { combine, type DeliveryOptions, type Subscriber, type Subscription } from './subscriber.ts'
import type { Subscriptions } from './subscriptions.ts'

/** The subscribers of one topic. A route is valid until a subscription changes. */
interface Route {
  readonly targets: readonly DeliveryOptions[]
  readonly groups: readonly SharedGroup<Subscription>[]
}

/** The parts of the broker that the router uses. */
export interface RouterEnvironment {
  readonly subscriptions: Subscriptions
  readonly retained: RetainedMessages
  readonly scheduler: FlushScheduler
  readonly commits: CommitQueue | undefined
  readonly groups: Pick<GroupDelivery, 'deliver' | 'congested'>
  /** The broker is in a cluster, so publications are replicated to peers. */
  readonly joinsBrokers: boolean
  /** Called with every publication of this broker, for the emitter. */
  published(publication: Publication): void
}

// Limits of the cache of routes.
const MAX_ROUTES = 65_536
const MAX_ROUTE_TARGETS = 500_000
const MAX_CACHED_TOPIC_LENGTH = 512
const EMPTY: readonly never[] = []

/** Distributes messages from publishers to subscribers. */
export class Router {
  readonly #environment: RouterEnvironment
  #routes = new Map<string, Route>()
  #olderRoutes = new Map<string, Route>()
  #version = 0
  #routeTargets = 0
  /** Undefined without a storage: then no change is rejected. */
  readonly #retainedChanges: RetainedChanges | undefined

  constructor(environment: RouterEnvironment) {
    this.#environment = environment
    const { retained, commits } = environment
    this.#retainedChanges = commits && new RetainedChanges(retained, commits)
  }

  /**
   * Stores the message if it is retained, then delivers a copy to each subscriber. Returns the number of subscribers.
   * Pauses the publisher if a subscriber is congested.
   */
  publish(publication: Publication, publisher?: Pausable): number {
    const { joinsBrokers, published } = this.#environment
    if (joinsBrokers) publication.replication = new ReplicationInfo(false)
    if (publication.message.retain) this.#retain(publication)
    const subscriberCount = this.distribute(publication, publisher)
    published(publication)
    return subscriberCount
  }

  /** Publishes a message that was being published when an earlier process ended, to subscribers without it. */
  republish(publication: Publication): void {
    const { joinsBrokers, published } = this.#environment
    publication.replay ??= { alreadyDeliveredTo: undefined }
    if (joinsBrokers) publication.replication = new ReplicationInfo(false)
    if (publication.message.retain) this.#retain(publication)
    this.distribute(publication)
    if (joinsBrokers) published(publication)
  }

  /**
   * Publishes a message of another program, which every broker has received. `role` of this broker: `each` stores it and
   * chooses members of shared subscriptions for itself; otherwise the `first` does both for all, and the `others` do not.
   */
  publishForeign(publication: Publication, role: 'each' | 'first' | 'others'): void {
    const { retained, published } = this.#environment
    const { message } = publication
    const replication = new ReplicationInfo(true)
    replication.isForExclusive = role !== 'each'
    publication.replication = replication
    if (message.retain) {
      if (role === 'others') retained.store(publication)
      else this.#retain(publication)
    }
    this.distribute(publication)
    if (role !== 'first' || this.#route(message.topic).groups.length === 0) return
    const shared = new Publication(message)
    shared.replication = new ReplicationInfo(false, true)
    this.distribute(shared)
    published(shared)
  }

  /** Stores the retained message of the topic, or removes it if the payload is empty [MQTT-3.3.1-6]. */
  #retain(publication: Publication): void {
    // Each process publishes its own $SYS values.
    if (this.#retainedChanges === undefined || isOfBroker(publication.message.topic)) {
      this.#environment.retained.store(publication)
    } else this.#retainedChanges.add(publication)
  }

  /** Rolls back a rejected publication: queued copies are dropped and the previous retained message is restored. */
  rollback(publication: Publication): void {
    publication.queued.reject()
    if (publication.message.retain) this.#retainedChanges?.rollback(publication)
  }

  /** Delivers a copy to each subscriber of this broker. Returns the number of subscribers. */
  distribute(publication: Publication, publisher?: Pausable): number {
    const { message } = publication
    const { groups } = this.#environment
    const route = this.#route(message.topic)
    let congested: Subscriber | undefined
    const targets = publication.replication?.sharedOnly === true ? EMPTY : route.targets
    const isShared = targets.length > 1
    if (isShared) publication.shareEncodings()
    for (const target of targets) {
      const { subscriber } = target
      if (target.noLocal && subscriber.clientId === message.publisher && message.publisher !== undefined) {
        this.#deliverNotLocal(target, publication)
      } else {
        const qos = target.qos < message.qos ? target.qos : message.qos // [MQTT-3.8.4-8]
        subscriber.deliver(publication, qos, target.retainAsPublished && message.retain, target)
      }
      if (subscriber.backPressure?.isCongested === true) congested = subscriber
    }
    if (isShared) publication.endSharing()
    let subscriberCount = targets.length
    for (const group of route.groups) {
      if (!groups.deliver(group, publication)) continue
      subscriberCount += 1
      if (groups.congested !== undefined) congested = groups.congested
    }
    this.#environment.scheduler.used += subscriberCount
    if (congested !== undefined && publisher !== undefined) congested.backPressure?.pausePublisher(publisher)
    return subscriberCount
  }

  /** The publisher is also the subscriber: only its subscriptions without No Local count [MQTT-3.8.3-3]. */
  #deliverNotLocal(target: DeliveryOptions, publication: Publication): void {
    const wanting = target.parts?.filter((subscription) => !subscription.noLocal) ?? []
    const rest = combine(target.subscriber, wanting)
    if (rest === undefined) return
    const { message } = publication
    const qos = Math.min(rest.qos, message.qos) as QoS
    target.subscriber.deliver(publication, qos, rest.retainAsPublished && message.retain, rest)
  }

  /** Returns the cached route of the topic; finds it after a subscription has changed. */
  #route(topic: string): Route {
    if (this.#version !== this.#environment.subscriptions.version) this.#forgetRoutes()
    const known = this.#routes.get(topic)
    if (known !== undefined) return known
    const route = this.#olderRoutes.get(topic) ?? this.#findRoute(topic)
    if (topic.length <= MAX_CACHED_TOPIC_LENGTH) this.#keepRoute(topic, route)
    return route
  }

  /** Caches in two generations: a full cache becomes the older one, from which used routes are copied. */
  #keepRoute(topic: string, route: Route): void {
    if (this.#routes.size >= MAX_ROUTES || this.#routeTargets >= MAX_ROUTE_TARGETS) {
      this.#olderRoutes = this.#routes
      this.#routes = new Map()
      this.#routeTargets = 0
    }
    for (const { parts, identifiers } of route.targets) {
      this.#routeTargets += 1 + (parts?.length ?? 0) + (identifiers?.length ?? 0)
    }
    this.#routes.set(topic, route)
  }

  /** Clears both generations, because a route must not retain an ended session. */
  #forgetRoutes(): void {
    if (this.#routes.size > 0) this.#routes = new Map()
    if (this.#olderRoutes.size > 0) this.#olderRoutes = new Map()
    this.#routeTargets = 0
    this.#version = this.#environment.subscriptions.version
  }

  #findRoute(topic: string): Route {
    const found: Subscription[] = []
    const groups: SharedGroup<Subscription>[] = []
    this.#environment.subscriptions.match(topic, found, groups)
    this.#environment.scheduler.used += found.length
    return { targets: compact(found.length < 2 ? found : combineBySubscriber(found)), groups: compact(groups) }
  }
}

/** Copies an array to its exact size, because many thousands of routes may be cached. */
function compact<T>(list: readonly T[]): readonly T[] {
  return list.length === 0 ? EMPTY : list.slice()
}

function combineBySubscriber(found: readonly Subscription[]): readonly DeliveryOptions[] {
  const bySubscriber = new Map<Subscriber, Subscription | Subscription[]>()
  const targets: DeliveryOptions[] = []
  for (const subscription of found) {
    if (subscription.ownCopy) {
      targets.push(subscription)
      continue
    }
    const others = bySubscriber.get(subscription.subscriber)
    if (others === undefined) bySubscriber.set(subscription.subscriber, subscription)
    else if (Array.isArray(others)) others.push(subscription)
    else bySubscriber.set(subscription.subscriber, [others, subscription])
  }
  for (const [subscriber, subscriptions] of bySubscriber) {
    const target = Array.isArray(subscriptions) ? combine(subscriber, subscriptions) : subscriptions
    if (target !== undefined) targets.push(target)
  }
  return targets
}
