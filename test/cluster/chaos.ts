/**
 * Three broker processes with one Redis, Clients that come back to any of them, and a time in which brokers, Redis and
 * its connections end at random. Afterwards the ledger must balance.
 */
import { setTimeout as pause } from 'node:timers/promises'
import type { Duplex } from 'node:stream'
import { Redis } from 'ioredis'
import type { ProtocolLevel, QoS } from '../../types/packets.ts'
import { BrokerProcess } from '../durability/broker-process.ts'
import { patienceMs } from '../support/patience.ts'
import { RedisServer } from '../support/redis.ts'
import { type Fault, Ledger } from '../durability/ledger.ts'
import { Publisher, type PublishedTopic } from '../durability/publisher.ts'
import { Subscriber } from '../durability/subscriber.ts'
import { Random } from '../fuzz/random.ts'

export interface ChaosSettings {
  readonly seed: number
  readonly seconds: number
  /** What happens; default: all of it. */
  readonly events?: readonly ChaosEvent[]
}

export type ChaosEvent = 'broker' | 'connections' | 'subscriptions' | 'redis' | 'take over'

export const chaosEvents: readonly ChaosEvent[] = ['broker', 'connections', 'subscriptions', 'redis', 'take over']

export interface Chaos {
  readonly faults: readonly Fault[]
  readonly figures: Ledger['figures']
  /** How often each event happened. */
  readonly happened: Readonly<Record<ChaosEvent, number>>
  readonly milliseconds: number
}

const BACKLOG = 1500

export async function chaos({ seed, seconds, events = chaosEvents }: ChaosSettings): Promise<Chaos> {
  const started = performance.now()
  const random = new Random(seed)
  const ledger = new Ledger()
  const redis = new RedisServer()
  await redis.start()
  const brokers = Array.from({ length: 3 }, () => new BrokerProcess({ kind: 'redis', redisUrl: redis.url }))
  for (const broker of brokers) broker.words = ['--quiet']
  const up = new Set<BrokerProcess>()
  // Any broker that is up; a Client does not wait for one that is not.
  const open = async (): Promise<Duplex> => {
    if (up.size === 0) throw new Error('no broker is up')
    return random.pick([...up]).open()
  }
  const happened = { broker: 0, connections: 0, subscriptions: 0, redis: 0, 'take over': 0 }
  const { publishers, subscribers } = makeClients(open, ledger, random)
  const all = [...publishers, ...subscribers]
  try {
    await Promise.all(brokers.map((broker) => broker.start()))
    for (const broker of brokers) up.add(broker)
    for (const subscriber of subscribers) subscriber.start()
    await settled(ledger, () => subscribers.every(({ isSubscribed }) => isSubscribed), 'SUBACK')
    for (const publisher of publishers) publisher.start()
    const end = performance.now() + seconds * 1000
    while (performance.now() < end) {
      for (const publisher of publishers) if (publisher.isComplete) publisher.publish(40 + random.below(80))
      await pause(150 + random.below(700))
      const event = random.pick(events)
      happened[event] += 1
      if (event === 'broker') await restart(random.pick(brokers), up, random)
      if (event === 'connections') await killConnections(redis, 'normal')
      if (event === 'subscriptions') await killConnections(redis, 'pubsub')
      if (event === 'take over')
        for (const client of all) if (random.oneIn(3)) takeOver(client.clientId, open, client.level)
      if (event === 'redis') {
        await redis.kill()
        await pause(random.below(300))
        await redis.start()
      }
    }
    for (const subscriber of subscribers) subscriber.settle()
    await settled(ledger, () => publishers.every(({ isComplete }) => isComplete), 'the end of all publishing')
    const isAll = (): boolean => ledger.owed === 0 && subscribers.every(({ isQuiet }) => isQuiet)
    await settled(ledger, isAll, 'all deliveries')
    await Promise.all(subscribers.map((one) => one.ping()))
  } catch (error) {
    ledger.fault('broker', (error as Error).message)
    for (const publisher of publishers) if (!publisher.isComplete) ledger.fault('broker', publisher.pending)
    for (const one of subscribers) if (!one.isQuiet) ledger.fault('broker', `${one.clientId} is not quiet`)
  } finally {
    for (const broker of brokers) broker.release()
    await Promise.all(all.map((client) => client.stop()))
    await Promise.all(brokers.map((broker) => broker.remove()))
    await redis.remove()
  }
  for (const crash of brokers.flatMap(({ crashes }) => crashes)) ledger.fault('broker', crash)
  const milliseconds = Math.round(performance.now() - started)
  return { faults: ledger.balance(), figures: ledger.figures, happened, milliseconds }
}

interface Clients {
  readonly publishers: Publisher[]
  readonly subscribers: Subscriber[]
}

function makeClients(open: () => Promise<Duplex>, ledger: Ledger, random: Random): Clients {
  const levelOf = (index: number): ProtocolLevel => (index % 2 === 0 ? 5 : 4)
  const topics: PublishedTopic[][] = Array.from({ length: 3 }, (_, index) => [
    { topic: `chaos/${index}/one`, qos: 1, retain: false },
    { topic: `chaos/${index}/two`, qos: 2, retain: false },
  ])
  const common = { open, ledger, random }
  const publishers = topics.map(
    (mine, index) =>
      new Publisher({
        ...common,
        clientId: `publisher ${index}`,
        level: levelOf(index),
        topics: mine,
        mayPublish: () => ledger.owed < BACKLOG,
      }),
  )
  const subscribers = Array.from({ length: 3 }, (_, index) => {
    const asked = topics.flat().map(({ topic }, place): [string, QoS] => [topic, index > 0 && place % 4 === 1 ? 1 : 2])
    return new Subscriber({
      ...common,
      clientId: `subscriber ${index}`,
      level: levelOf(index),
      topics: Object.fromEntries(asked),
      comesAndGoes: index === 1,
    })
  })
  return { publishers, subscribers }
}

/** Ends it, and starts it again after a while. */
async function restart(broker: BrokerProcess, up: Set<BrokerProcess>, random: Random): Promise<void> {
  up.delete(broker)
  await broker.kill()
  await pause(random.below(1500))
  await broker.start()
  up.add(broker)
}

async function killConnections(redis: RedisServer, type: 'normal' | 'pubsub'): Promise<void> {
  const own = new Redis(redis.url)
  own.on('error', () => undefined)
  await own.call('CLIENT', 'KILL', 'TYPE', type, 'SKIPME', 'yes').catch(() => undefined)
  own.disconnect()
}

/** Another connection of the Client, which ends at once. */
function takeOver(clientId: string, open: () => Promise<Duplex>, level: ProtocolLevel): void {
  void open()
    .then((stream) => {
      stream.on('error', () => undefined)
      const flags = '00'
      const id = Buffer.from(clientId)
      const protocol = Buffer.from([0, 4, 77, 81, 84, 84, level])
      const properties = level === 5 ? Buffer.from([5, 0x11, 0, 0, 0x0e, 0x10]) : Buffer.alloc(0)
      const body = Buffer.concat([
        protocol,
        Buffer.from(flags, 'hex'),
        Buffer.from([0, 0]),
        properties,
        Buffer.from([0, id.length]),
        id,
      ])
      stream.write(Buffer.concat([Buffer.from([0x10, body.length]), body]))
      stream.once('data', () => stream.destroy())
      setTimeout(() => stream.destroy(), 3000).unref()
    })
    .catch(() => undefined)
}

/** Resolves when it is so; rejects when nothing has changed for a long time. */
async function settled(ledger: Ledger, isSo: () => boolean, what: string): Promise<void> {
  let before = ''
  let since = performance.now()
  while (!isSo()) {
    await pause(10)
    const { sessions: _, ...figures } = ledger.figures
    const now = `${JSON.stringify(figures)}${ledger.owed}`
    if (now !== before) {
      before = now
      since = performance.now()
    } else if (performance.now() - since > patienceMs) throw new Error(`${what} did not come, ${ledger.owed} owed`)
  }
}
