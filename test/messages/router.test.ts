import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FlushScheduler } from '../../lib/flush-scheduler.ts'
import { GroupDelivery } from '../../lib/messages/group-delivery.ts'
import { Message } from '../../lib/messages/message.ts'
import { Publication } from '../../lib/messages/publication.ts'
import { RetainedMessages } from '../../lib/messages/retained-messages.ts'
import { Router } from '../../lib/messages/router.ts'
import { type DeliverySource, Readiness, type Subscriber, Subscription } from '../../lib/messages/subscriber.ts'
import { Subscriptions } from '../../lib/messages/subscriptions.ts'
import { BackPressure } from '../../lib/sessions/back-pressure.ts'
import { SharedQueues } from '../../lib/sessions/shared-queues.ts'
import { Timers } from '../../lib/timers.ts'
import type { QoS } from '../../types/packets.ts'
import type { Subscription as PublicSubscription } from '../../types/subscription.ts'
import { defaultLimits } from '../broker/limits.ts'
import { ManualClock } from '../support/clock.ts'

interface Setting {
  readonly router: Router
  readonly subscriptions: Subscriptions
  readonly retained: RetainedMessages
  readonly timers: Timers
}

function make(): Setting {
  const timers = new Timers(new ManualClock(), assert.ifError)
  const subscriptions = new Subscriptions()
  const retained = new RetainedMessages(timers, defaultLimits, () => undefined)
  const scheduler = new FlushScheduler(assert.ifError)
  const groups = new GroupDelivery({
    subscriptions,
    shared: new SharedQueues(),
    joinsBrokers: false,
    published: () => undefined,
    dropped: () => undefined,
  })
  const router = new Router({
    subscriptions,
    retained,
    scheduler,
    commits: undefined,
    groups,
    joinsBrokers: false,
    published: () => undefined,
  })
  return { router, subscriptions, retained, timers }
}

/** Records its deliveries. */
class Receiver implements Subscriber {
  readonly clientId: string | undefined
  connected = true
  canSendNow = true
  backPressure: BackPressure | undefined
  readonly #got: string[] = []

  constructor(clientId: string | undefined) {
    this.clientId = clientId
  }

  readiness(): Readiness {
    return this.canSendNow ? Readiness.now : this.connected ? Readiness.soon : Readiness.later
  }

  offer(publication: Publication, qos: QoS, retain: boolean, via: DeliverySource): undefined {
    this.deliver(publication, qos, retain, via)
  }

  deliver({ message }: Publication, qos: QoS, retain: boolean, { identifiers }: DeliverySource): void {
    const ids = identifiers === undefined ? '' : ` by ${identifiers.join(' ')}`
    this.#got.push(`${message.payload.toString()} at ${qos}${retain ? ' retained' : ''}${ids}`)
  }

  /** Returns the deliveries since the last call. */
  got(): string[] {
    return this.#got.splice(0)
  }
}

function subscribe(
  { subscriptions }: Setting,
  subscriber: Subscriber,
  granted: Partial<PublicSubscription> & { topicFilter: string },
): Subscription {
  const complete = { qos: 2, ...granted } as const
  const subscription = new Subscription(subscriber, complete, complete)
  subscriptions.add(subscription)
  return subscription
}

function publish({ router }: Setting, payload: string, publisher?: string, topic = 'a/b', qos: QoS = 2): number {
  const fields = { topic, payload: Buffer.from(payload), qos, retain: true }
  return router.publish(new Publication(new Message(fields, publisher, Infinity)))
}

// ─── overlapping subscriptions ───────────────────────────────────────────────────────────────────────────────────────

test('overlapping subscriptions give one copy, at the highest QoS and with each identifier [MQTT-3.3.4-2] [MQTT-3.3.4-4]', () => {
  const setting = make()
  const me = new Receiver('me')
  subscribe(setting, me, { topicFilter: 'a/#', qos: 0, subscriptionIdentifier: 1 })
  subscribe(setting, me, { topicFilter: 'a/b', qos: 1, subscriptionIdentifier: 2, retainAsPublished: true })
  subscribe(setting, me, { topicFilter: '+/b', qos: 1 })
  assert.equal(publish(setting, 'x', 'other'), 1)
  assert.deepEqual(me.got(), ['x at 1 retained by 1 2'])
})

test('of overlapping subscriptions only those without No Local count for an own message [MQTT-3.8.3-3]', () => {
  const setting = make()
  const me = new Receiver('me')
  subscribe(setting, me, {
    topicFilter: 'a/#',
    qos: 2,
    noLocal: true,
    subscriptionIdentifier: 1,
    retainAsPublished: true,
  })
  const wanting = subscribe(setting, me, { topicFilter: 'a/b', qos: 1, subscriptionIdentifier: 2 })
  publish(setting, 'own', 'me')
  assert.deepEqual(me.got(), ['own at 1 by 2'])
  publish(setting, 'other', 'another')
  assert.deepEqual(me.got(), ['other at 2 retained by 1 2'])
  setting.subscriptions.remove(wanting)
  publish(setting, 'own', 'me')
  assert.deepEqual(me.got(), [])
  publish(setting, 'other', 'another')
  assert.deepEqual(me.got(), ['other at 2 retained by 1'])
})

test('the application is never its own echo', () => {
  const setting = make()
  const application = new Receiver(undefined)
  subscribe(setting, application, { topicFilter: 'a/b', noLocal: true })
  publish(setting, 'x')
  assert.deepEqual(application.got(), ['x at 2'])
})

test('a copy has the lower QoS of message and subscription [MQTT-3.8.4-8]', () => {
  const setting = make()
  for (const granted of [0, 1, 2] as const) {
    const receiver = new Receiver(`at ${granted}`)
    subscribe(setting, receiver, { topicFilter: `q/${granted}`, qos: granted })
    for (const qos of [0, 1, 2] as const) publish(setting, 'x', undefined, `q/${granted}`, qos)
    assert.deepEqual(
      receiver.got(),
      [0, 1, 2].map((qos) => `x at ${Math.min(qos, granted)}`),
    )
  }
})

// ─── shared subscriptions ────────────────────────────────────────────────────────────────────────────────────────────

test('a group gives a message to a member that can send it now, else to a connected one, else to anyone', () => {
  const setting = make()
  const members = ['a', 'b', 'c'].map((clientId) => new Receiver(clientId))
  for (const member of members) subscribe(setting, member, { topicFilter: '$share/g/a/b', shareName: 'g' })
  const [a, b, c] = members as [Receiver, Receiver, Receiver]
  const takers = (count: number): string[] => {
    const all: string[] = []
    for (let left = count; left > 0; left -= 1) {
      assert.equal(publish(setting, 'x', 'a'), 1)
      for (const member of members) if (member.got().length > 0) all.push(member.clientId as string)
    }
    return all
  }
  assert.deepEqual(takers(4), ['a', 'b', 'c', 'a'], 'each in turn')
  b.canSendNow = false
  assert.deepEqual(takers(4), ['c', 'a', 'c', 'a'])
  a.canSendNow = false
  c.connected = false
  c.canSendNow = false
  assert.deepEqual(takers(4), ['b', 'a', 'b', 'a'], 'connected ones, whose queue keeps it')
  a.connected = false
  b.connected = false
  assert.deepEqual(takers(3).toSorted(), ['a', 'b', 'c'], 'sessions without a connection take turns too')
})

test('each group has one copy, beside those with a subscription of their own', () => {
  const setting = make()
  const [one, two] = [new Receiver('one'), new Receiver('two')]
  for (const shareName of ['g', 'h']) {
    subscribe(setting, one, { topicFilter: `$share/${shareName}/a/b`, shareName, qos: 1 })
  }
  subscribe(setting, two, { topicFilter: 'a/b' })
  assert.equal(publish(setting, 'x'), 3)
  assert.deepEqual([one.got(), two.got()], [['x at 1', 'x at 1'], ['x at 2']])
})

// ─── routes ──────────────────────────────────────────────────────────────────────────────────────────────────────────

test('a route is forgotten when a subscription comes, goes or is replaced', () => {
  const setting = make()
  const [one, two] = [new Receiver('one'), new Receiver('two')]
  const first = subscribe(setting, one, { topicFilter: 'a/#' })
  const count = (): number => publish(setting, 'x')
  assert.deepEqual([count(), count()], [1, 1])
  const second = subscribe(setting, two, { topicFilter: '+/b' })
  assert.equal(count(), 2)
  const grouped = subscribe(setting, two, { topicFilter: '$share/g/#', shareName: 'g' })
  assert.equal(count(), 3)
  setting.subscriptions.remove(grouped)
  assert.equal(count(), 2)
  setting.subscriptions.remove(first)
  assert.equal(count(), 1)
  two.got()
  subscribe(setting, two, { topicFilter: '+/b', qos: 0 })
  setting.subscriptions.remove(second)
  count()
  assert.deepEqual(two.got(), ['x at 0'])
})

test('more topics than the routes that are kept are routed all the same', () => {
  const setting = make()
  const one = new Receiver('one')
  subscribe(setting, one, { topicFilter: 'n/#' })
  const publishAll = (): void => {
    for (let number = 0; number < 70_000; number += 7) {
      const fields = { topic: `n/${number}`, payload: Buffer.alloc(0), qos: 0, retain: false } as const
      assert.equal(setting.router.publish(new Publication(new Message(fields, undefined, Infinity))), 1)
    }
  }
  publishAll()
  publishAll()
  assert.equal(one.got().length, 20_000)
})

test('the publisher waits for a receiver that cannot keep up', () => {
  const setting = make()
  const slow = new Receiver('slow')
  slow.backPressure = new BackPressure(setting.timers, 500)
  subscribe(setting, slow, { topicFilter: 'a/b' })
  subscribe(setting, new Receiver('quick'), { topicFilter: 'a/b' })
  const log: string[] = []
  const publisher = { pause: () => log.push('pause'), resume: () => log.push('resume') }
  const once = (): void => {
    const fields = { topic: 'a/b', payload: Buffer.alloc(0), qos: 0, retain: false } as const
    setting.router.publish(new Publication(new Message(fields, undefined, Infinity)), publisher)
  }
  once()
  assert.deepEqual(log, [])
  slow.backPressure.congest()
  once()
  slow.backPressure.relieve()
  assert.deepEqual(log, ['pause', 'resume'])
})

// ─── rollback ────────────────────────────────────────────────────────────────────────────────────────────────────────

function retain({ router }: Setting, payload: string): Publication {
  const fields = { topic: 't', payload: Buffer.from(payload), qos: 1, retain: true } as const
  const publication = new Publication(new Message(fields, undefined, Infinity))
  router.publish(publication)
  return publication
}

test('a rejected message that is not to be retained changes nothing that is', () => {
  const setting = make()
  retain(setting, 'kept')
  const fields = { topic: 't', payload: Buffer.from('x'), qos: 1, retain: false } as const
  const publication = new Publication(new Message(fields, undefined, Infinity))
  setting.router.publish(publication)
  setting.router.rollback(publication)
  assert.equal(publication.isRejected, true)
  assert.equal(setting.retained.get('t')?.payload.toString(), 'kept')
})
