import type { Pausable } from '../sessions/back-pressure.ts'
import { ReplicationInfo } from '../cluster/replication-info.ts'
import type { CommitQueue } from '../storage/commit-queue.ts'
import type { Delivery } from '../sessions/delivery.ts'
import type { SharedGroup } from '../topics/shared-subscriptions.ts'
import type { FlushScheduler } from '../flush-scheduler.ts'
import type { QoS } from '../../types/packets.ts'
import type { Message } from './message.ts'
import { combine, type Subscriber, type Subscription, type DeliveryOptions } from './subscriber.ts'
import type { RetainedMessages } from './retained-messages.ts'
import type { Subscriptions } from './subscriptions.ts'

/** Who gets the messages of one topic, as long as no subscription changes. */
interface Route {
  readonly targets: readonly DeliveryOptions[]
  readonly groups: readonly SharedGroup<Subscription>[]
}

// What the routes may take is bounded by their number and by the length of their topics.
const MAX_ROUTES = 65_536
const MAX_ROUTE_TARGETS = 500_000
const MAX_CACHED_TOPIC_LENGTH = 512
const NOTHING: readonly never[] = []

function canSendNow(subscription: Subscription): boolean {
  return subscription.subscriber.canSendNow
}
function isConnected(subscription: Subscription): boolean {
  return subscription.subscriber.connected
}
function isAnyone(): boolean {
  return true
}

/** The broker that published a message has chosen for all; one that knew of no member leaves it to those who have one. */
function memberChosenByPeer(group: SharedGroup<Subscription>, travel: ReplicationInfo): Subscription | undefined {
  const chosen = travel.chosen(group)
  if (chosen === undefined) return group.next((member) => member.subscriber.isRemote !== true)
  return group.members.find(({ subscriber }) => subscriber.clientId === chosen)
}

/** The way of a message from its publisher to its receivers. */
export class Router {
  readonly #subscriptions: Subscriptions
  readonly #retained: RetainedMessages
  readonly #turn: FlushScheduler
  readonly #commits: CommitQueue | undefined
  readonly #joinsBrokers: boolean
  #routes = new Map<string, Route>()
  #olderRoutes = new Map<string, Route>()
  #version = 0
  #routeTargets = 0
  /** What was retained before a message that was refused, or before one that took the place of such a one. */
  readonly #retainedBefore = new WeakMap<Message, Message | undefined>()
  /** Told of every message, for the emitter. */
  readonly #published: (message: Message) => void

  constructor(
    subscriptions: Subscriptions,
    retained: RetainedMessages,
    turn: FlushScheduler,
    store: CommitQueue | undefined,
    joinsBrokers: boolean,
    published: (message: Message) => void,
  ) {
    this.#subscriptions = subscriptions
    this.#retained = retained
    this.#turn = turn
    this.#commits = store
    this.#joinsBrokers = joinsBrokers
    this.#published = published
  }

  /**
   * Keeps the message when it is to be retained, then gives each receiver its copy.
   * Answers how many there were. A publisher is held back when one of them cannot keep up.
   */
  publish(message: Message, publisher?: Pausable): number {
    if (this.#joinsBrokers) message.replication = new ReplicationInfo(false)
    if (message.retain) this.retain(message)
    const reached = this.distribute(message, publisher)
    this.#published(message)
    return reached
  }

  /** A message that was being handed on when the process ended goes to those who do not have it. */
  republish(message: Message): void {
    message.isReplay = true
    if (this.#joinsBrokers) message.replication = new ReplicationInfo(false)
    if (message.retain) this.retain(message)
    this.distribute(message)
    if (this.#joinsBrokers) this.#published(message)
  }

  /** Keeps the message for those who subscribe later, or removes the one there was. */
  retain(message: Message): void {
    const isKept = this.#retained.store(message)
    if (this.#commits === undefined || message.topic.startsWith('$SYS/')) return // Each broker counts anew.
    this.#commits.retain(message, isKept || message.payload.length === 0)
  }

  /** A message that was not accepted after all: what it took the place of is retained again. */
  rollback(message: Message, retainedBefore: Message | undefined): void {
    message.isRejected = true
    if (!message.retain) return
    const before =
      retainedBefore?.isRejected === false ? retainedBefore : this.#retainedBefore.get(retainedBefore ?? message)
    this.#retainedBefore.set(message, before)
    const present = this.#retained.get(message.topic)
    if (present !== (message.payload.length === 0 ? undefined : message)) {
      if (present !== undefined && !this.#retainedBefore.has(present)) this.#retainedBefore.set(present, before)
    } else if (before === undefined) {
      this.#retained.remove(message.topic)
      this.#commits?.forgetRetained(message.topic)
    } else this.retain(before)
  }

  /** Gives each receiver of this broker its copy. */
  distribute(message: Message, publisher?: Pausable): number {
    const route = this.#route(message.topic)
    let congested: Subscriber | undefined
    const targets = message.replication?.sharedOnly === true ? [] : route.targets
    message.isShared = targets.length > 1
    for (const target of targets) {
      const { subscriber } = target
      if (target.noLocal && subscriber.clientId === message.publisher && message.publisher !== undefined) {
        this.#deliverNotLocal(target, message)
      } else {
        const qos = target.qos < message.qos ? target.qos : message.qos // [MQTT-3.8.4-8]
        subscriber.deliver(message, qos, target.retainAsPublished && message.retain, target.identifiers, undefined)
      }
      if (subscriber.backPressure?.isCongested === true) congested = subscriber
    }
    message.distributed()
    let reached = targets.length
    for (const group of route.groups) if (this.#deliverToOne(group, message)) reached += 1
    this.#turn.used += reached
    if (congested !== undefined && publisher !== undefined) congested.backPressure?.pausePublisher(publisher)
    return reached
  }

  /** A message of a shared subscription whose member left goes to another one (section 4.8.2). */
  redistribute(orphans: readonly Delivery[]): void {
    for (const { group, message } of orphans) {
      if (group === undefined || group.members.length === 0) continue
      const moved = message.copyWithNewId()
      if (this.#joinsBrokers) moved.replication = new ReplicationInfo(false, true)
      this.#deliverToOne(group, moved)
      if (this.#joinsBrokers) this.#published(moved)
    }
  }

  /** The publisher is a receiver too: only those of its subscriptions count that want local messages [MQTT-3.8.3-3]. */
  #deliverNotLocal(target: DeliveryOptions, message: Message): void {
    const wanting = target.overlapping?.filter((subscription) => !subscription.noLocal) ?? []
    const rest = combine(target.subscriber, wanting)
    if (rest === undefined) return
    const qos = Math.min(rest.qos, message.qos) as QoS
    target.subscriber.deliver(message, qos, rest.retainAsPublished && message.retain, rest.identifiers, undefined)
  }

  /** One member that can take it now; else one that is connected; else one whose session keeps it. */
  #deliverToOne(group: SharedGroup<Subscription>, message: Message): boolean {
    const { replication } = message
    const member =
      replication?.fromPeer === true
        ? memberChosenByPeer(group, replication)
        : (group.next(canSendNow, isConnected) ?? group.next(isAnyone))
    if (member === undefined) return false
    if (replication?.fromPeer === false) replication.choose(group, member)
    const qos = Math.min(member.qos, message.qos) as QoS // [MQTT-4.8.2-3]
    member.subscriber.deliver(message, qos, member.retainAsPublished && message.retain, member.identifiers, group)
    return true
  }

  /** The route of this topic, found once and kept for as long as no subscription changes. */
  #route(topic: string): Route {
    if (this.#version !== this.#subscriptions.version) this.#forgetRoutes()
    const known = this.#routes.get(topic)
    if (known !== undefined) return known
    const route = this.#olderRoutes.get(topic) ?? this.#findRoute(topic)
    if (topic.length <= MAX_CACHED_TOPIC_LENGTH) this.#keepRoute(topic, route)
    return route
  }

  /** Two generations: those that are still used come along when the younger one is full. */
  #keepRoute(topic: string, route: Route): void {
    if (this.#routes.size >= MAX_ROUTES || this.#routeTargets >= MAX_ROUTE_TARGETS) {
      this.#olderRoutes = this.#routes
      this.#routes = new Map()
      this.#routeTargets = 0
    }
    for (const { overlapping, identifiers } of route.targets) {
      this.#routeTargets += 1 + (overlapping?.length ?? 0) + (identifiers?.length ?? 0)
    }
    this.#routes.set(topic, route)
  }

  /** A route of before must not keep a session that has ended. */
  #forgetRoutes(): void {
    if (this.#routes.size > 0) this.#routes = new Map()
    if (this.#olderRoutes.size > 0) this.#olderRoutes = new Map()
    this.#routeTargets = 0
    this.#version = this.#subscriptions.version
  }

  #findRoute(topic: string): Route {
    const found: Subscription[] = []
    const groups: SharedGroup<Subscription>[] = []
    this.#subscriptions.match(topic, found, groups)
    this.#turn.used += found.length
    return { targets: compact(found.length < 2 ? found : combineByReceiver(found)), groups: compact(groups) }
  }
}

/** Without the room for more that an array has which grew: there may be a route for each of many thousand topics. */
function compact<T>(list: readonly T[]): readonly T[] {
  return list.length === 0 ? NOTHING : list.slice()
}

function combineByReceiver(found: readonly Subscription[]): readonly DeliveryOptions[] {
  const byReceiver = new Map<Subscriber, Subscription | Subscription[]>()
  for (const subscription of found) {
    const others = byReceiver.get(subscription.subscriber)
    if (others === undefined) byReceiver.set(subscription.subscriber, subscription)
    else if (Array.isArray(others)) others.push(subscription)
    else byReceiver.set(subscription.subscriber, [others, subscription])
  }
  const targets: DeliveryOptions[] = []
  for (const [receiver, subscriptions] of byReceiver) {
    const target = Array.isArray(subscriptions) ? combine(receiver, subscriptions) : subscriptions
    if (target !== undefined) targets.push(target)
  }
  return targets
}
