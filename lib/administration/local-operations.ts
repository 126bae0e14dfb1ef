import type { Message as PublicMessage, MessageInit } from '../../types/message.ts'
import type { QoS } from '../../types/packets.ts'
import type { Subscription as PublicSubscription } from '../../types/subscription.ts'
import { MqttError } from '../errors.ts'
import type { Notify } from '../events.ts'
import { committed } from '../messages/local-publisher.ts'
import { checkMessage, checkMessageSize } from '../messages/message-fields.ts'
import { Message } from '../messages/message.ts'
import { Publication } from '../messages/publication.ts'
import type { RetainedMessages } from '../messages/retained-messages.ts'
import type { Router } from '../messages/router.ts'
import { type DeliverySource, Subscription } from '../messages/subscriber.ts'
import type { Settings } from '../options.ts'
import type { Pausable } from '../sessions/back-pressure.ts'
import { type NewSubscription, removeRejected, sendsRetained } from '../sessions/new-subscription.ts'
import type { SessionRegistry } from '../sessions/session-registry.ts'
import type { Session } from '../sessions/session.ts'
import type { CommitQueue } from '../storage/commit-queue.ts'
import type { Timers } from '../timers.ts'
import { checkSubscriptions } from './checks.ts'
import { type SessionView, viewOf } from './session-view.ts'

/** The parts of the broker that changes of one session use. */
export interface LocalOperationsContext {
  readonly settings: Settings
  readonly timers: Timers
  readonly sessions: SessionRegistry
  readonly retained: RetainedMessages
  readonly router: Pick<Router, 'rollback'>
  /** Undefined without a storage. */
  readonly commits: CommitQueue | undefined
  readonly notify: Notify
}

// No subscription matched the message: it is for one Client.
const DIRECT: DeliverySource = { identifiers: undefined, sharedFilter: undefined, parts: undefined }
// Steps of a search for retained messages before the rest of the program runs.
const STEPS_PER_TURN = 256

/** Changes that the application makes to the sessions of this broker. */
export class LocalOperations {
  readonly #context: LocalOperationsContext

  constructor(context: LocalOperationsContext) {
    this.#context = context
  }

  /** The session of a Client; undefined if this broker does not have it. Waits for a CONNECT that is being stored. */
  async find(clientId: string): Promise<Session | undefined> {
    const { sessions, commits } = this.#context
    if (sessions.get(clientId)?.pendingConnection !== undefined) await commits?.flushed().catch(() => undefined)
    return sessions.get(clientId)
  }

  view(clientId: string): SessionView | undefined {
    const { sessions, settings, timers } = this.#context
    const session = sessions.get(clientId)
    return session && viewOf(session, settings.id, timers)
  }

  async subscribe(session: Session, wanted: readonly PublicSubscription[]): Promise<void> {
    const { sessions, settings, commits, notify } = this.#context
    const checked = checkSubscriptions(settings.limits, commits?.storage.reserved, wanted)
    this.#checkRoom(session, checked)
    const made: NewSubscription[] = []
    for (const granted of checked) {
      // Two objects: only the requested one says that the application made it.
      const subscription = new Subscription(
        session.outbound,
        { ...granted, byApplication: true, ownCopy: session.copyPerSubscription },
        granted,
      )
      made.push({ subscription, previous: sessions.subscribe(session, subscription) })
      if (session.client !== undefined) notify('subscribed', granted, session.client)
    }
    await this.#stored(session, () => removeRejected(sessions, session, made))
    session.outbound.sendPending() // Messages may wait for any member of a shared subscription.
    for (const one of made) if (sendsRetained(one)) await this.#sendRetained(session, one.subscription)
  }

  #checkRoom(session: Session, checked: readonly PublicSubscription[]): void {
    const { maxSubscriptionsPerClient, maxSubscriptionBytesPerClient } = this.#context.settings.limits
    const added = new Set(checked.map(({ topicFilter }) => topicFilter))
    for (const topicFilter of added) if (session.subscriptions.has(topicFilter)) added.delete(topicFilter)
    if (added.size === 0) return
    if (
      session.subscriptions.size + added.size > maxSubscriptionsPerClient ||
      session.subscriptionBytes >= maxSubscriptionBytesPerClient
    ) {
      throw new MqttError('quota-exceeded', 'too many subscriptions')
    }
  }

  /** A Client that is connected receives them as it accepts them; for one that is away they are queued. */
  async #sendRetained(session: Session, subscription: Subscription): Promise<void> {
    const { outbound, storage, subscriptions } = session
    if (session.connected) {
      outbound.deliverRetained(subscription)
      outbound.sendPending()
      return
    }
    let steps = 0
    for (const queued of this.#context.retained.search(subscription.matchFilter)) {
      steps += 1
      if (steps % STEPS_PER_TURN === 0) await new Promise((resolve) => setImmediate(resolve))
      if (session.ended || subscriptions.get(subscription.requested.topicFilter) !== subscription) return
      if (queued === undefined || (subscription.noLocal && queued.message.publisher === session.clientId)) continue
      const qos = Math.min(subscription.qos, queued.message.qos) as QoS
      outbound.deliver(storage.publicationOf(queued), qos, true, subscription) // [MQTT-3.3.1-8] of 3.1.1
    }
    await this.#stored(session)
  }

  async unsubscribe(session: Session, topicFilters: readonly string[]): Promise<number> {
    const { sessions, notify } = this.#context
    let count = 0
    for (const topicFilter of topicFilters) {
      if (!sessions.unsubscribe(session, topicFilter)) continue
      count += 1
      if (session.client !== undefined) notify('unsubscribed', topicFilter, session.client)
    }
    await this.#stored(session)
    return count
  }

  async publish(session: Session, init: PublicMessage | MessageInit): Promise<void> {
    const { settings, timers, commits, router } = this.#context
    checkMessage(init, settings.limits.maxTopicLevels)
    const message = Message.of(init, undefined, timers)
    checkMessageSize(message)
    const { outbound } = session
    const publication = new Publication(message)
    if (message.qos > 0 && !outbound.hasRoomFor(publication)) {
      throw new MqttError('quota-exceeded', 'the queue of the session is full')
    }
    outbound.deliver(publication, message.qos, false, DIRECT)
    if (commits?.isInOpenBatch(publication) === true) {
      commits.markRejectable(publication)
      await committed(commits, () => router.rollback(publication))
    }
    await drained(session)
  }

  /** Ends the session as the end of its Session Expiry Interval does: its Will is published, its storage is freed. */
  async delete(session: Session): Promise<void> {
    const { sessions } = this.#context
    const { client } = session
    if (client !== undefined)
      void client.disconnect('administrative-action', { reasonString: 'the session was deleted' })
    sessions.end(session) // It has ended already if it ends with its connection.
    await this.#stored(session)
  }

  /** Waits for the commit of the changes of the session. If it fails, calls `undo` and rejects. */
  async #stored(session: Session, undo?: () => void): Promise<void> {
    const { commits } = this.#context
    if (commits !== undefined && session.isRecorded) await committed(commits, undo)
  }
}

/** Waits as a Client that publishes to a congested subscriber, so that a loop of messages does not fill the queue. */
async function drained({ outbound }: Session): Promise<void> {
  if (!outbound.backPressure.isCongested) return
  await new Promise<void>((resolve) => {
    const publisher: Pausable = { pause: () => undefined, resume: resolve }
    outbound.backPressure.pausePublisher(publisher)
  })
}
