/** Rounds of load and sudden death: publishers and subscribers that stay, a broker that does not. */
import type { ProtocolLevel, QoS } from '../../types/packets.ts'
import { Random } from '../fuzz/random.ts'
import { TestClient } from '../support/client.ts'
import { type BrokerKind, BrokerProcess, type ProcessSettings } from './broker-process.ts'
import { patienceMs } from '../support/patience.ts'
import { RedisServer } from '../support/redis.ts'
import { type Fault, Ledger } from './ledger.ts'
import { Publisher, type PublishedTopic } from './publisher.ts'
import { Subscriber } from './subscriber.ts'

export interface RoundSettings {
  readonly kind: BrokerKind
  readonly rounds: number
  readonly seed: number
  /** Default: 4. */
  readonly publishers?: number
  /** Default: 2, one of which is away half of the time. */
  readonly subscribers?: number
  /** Nobody is killed: whatever is wrong then is wrong with this test. Default: false. */
  readonly spare?: boolean
  /** What the broker owes may take so many milliseconds without any progress; then it does not come. Default: minutes. */
  readonly deliveryMs?: number
  /** Called after each round. */
  readonly progress?: (round: number, ledger: Ledger) => void
  readonly process?: Partial<ProcessSettings>
}

export interface Outcome {
  readonly faults: readonly Fault[]
  readonly figures: Ledger['figures']
  readonly milliseconds: number
}

const BACKLOG = 2500

export async function killRounds(settings: RoundSettings): Promise<Outcome> {
  const started = performance.now()
  const random = new Random(settings.seed)
  const ledger = new Ledger()
  const redis = settings.kind === 'redis' ? new RedisServer() : undefined
  await redis?.start()
  const broker = new BrokerProcess({
    kind: settings.kind,
    ...(redis !== undefined && { redisUrl: redis.url }),
    ...settings.process,
  })
  const clients = makeClients(settings, broker, ledger, random)
  const { publishers, subscribers, retained } = clients
  const all = [...publishers, ...subscribers]
  const progressing = (isSo: () => boolean, what: string, milliseconds: number = patienceMs): Promise<void> =>
    untilSo(ledger, milliseconds, isSo, what)
  try {
    await broker.start()
    for (const subscriber of subscribers) subscriber.start()
    await progressing(() => all.every((one) => one instanceof Publisher || one.isSubscribed), 'SUBACK')
    for (const publisher of publishers) publisher.start()
    for (let round = 1; round <= settings.rounds; round += 1) {
      for (const publisher of publishers) publisher.publish(20 + random.below(120))
      await pause(50 + random.below(450))
      // Redis may end instead of the broker, or together with it.
      const victim = redis === undefined ? 'broker' : random.pick(['broker', 'redis', 'both'] as const)
      if (settings.spare !== true) {
        if (victim !== 'redis') await broker.kill()
        if (victim !== 'broker') await redis?.kill()
        if (victim !== 'broker') await redis?.start()
        if (victim !== 'redis') await broker.start()
      }
      await checkRetained(broker, ledger, retained, random)
      settings.progress?.(round, ledger)
    }
    for (const subscriber of subscribers) subscriber.settle()
    await progressing(() => publishers.every((one) => one.isComplete), 'the end of all publishing')
    const isAll = (): boolean => ledger.owed === 0 && subscribers.every((one) => one.isQuiet)
    await progressing(isAll, 'all deliveries', settings.deliveryMs)
    // Once more with nothing under way: whatever is sent now was sent before.
    await Promise.all(subscribers.map((one) => one.ping()))
    if (settings.spare !== true) {
      await broker.kill()
      await broker.start()
    }
    await progressing(() => subscribers.every((one) => one.isOnline), 'CONNACK')
    await Promise.all(subscribers.map((one) => one.ping()))
    await checkRetained(broker, ledger, retained, random)
  } catch (error) {
    ledger.fault('broker', (error as Error).message)
    for (const publisher of publishers) if (!publisher.isComplete) ledger.fault('broker', publisher.pending)
  } finally {
    broker.release()
    await Promise.all(all.map((client) => client.stop()))
    await broker.remove()
    await redis?.remove()
  }
  for (const crash of broker.crashes) ledger.fault('broker', crash)
  return { faults: ledger.balance(), figures: ledger.figures, milliseconds: Math.round(performance.now() - started) }
}

interface Clients {
  readonly publishers: Publisher[]
  readonly subscribers: Subscriber[]
  readonly retained: string[]
}

function makeClients(settings: RoundSettings, broker: BrokerProcess, ledger: Ledger, random: Random): Clients {
  const levelOf = (index: number): ProtocolLevel => (index % 2 === 0 ? 5 : 4)
  const topics: PublishedTopic[][] = Array.from({ length: settings.publishers ?? 4 }, (_, index) => [
    { topic: `kill/${index}/one`, qos: 1, retain: false },
    { topic: `kill/${index}/two`, qos: 2, retain: false },
    { topic: `kill/${index}/kept`, qos: 1, retain: true },
  ])
  const common = { open: broker.open, ledger, random }
  // Without a store the messages that a kill destroyed are owed for ever, so publishers that wait for them never end.
  const isLossy = settings.kind === 'none' && settings.spare !== true
  const publishers = topics.map(
    (mine, index) =>
      new Publisher({
        ...common,
        clientId: `publisher ${index}`,
        level: levelOf(index),
        topics: mine,
        mayPublish: () => isLossy || ledger.owed < BACKLOG,
      }),
  )
  const subscribers = Array.from({ length: settings.subscribers ?? 2 }, (_, index) => {
    // The first takes everything as it is; the next takes some of it at QoS 1.
    const asked = topics.flat().map(({ topic }, place): [string, QoS] => [topic, index > 0 && place % 4 === 1 ? 1 : 2])
    return new Subscriber({
      ...common,
      clientId: `subscriber ${index}`,
      level: levelOf(index),
      topics: Object.fromEntries(asked),
      comesAndGoes: index % 2 === 1,
    })
  })
  const retained = topics.flat().flatMap(({ topic, retain }) => (retain ? [topic] : []))
  return { publishers, subscribers, retained }
}

/** A Client that was never there before sees what is retained. */
async function checkRetained(broker: BrokerProcess, ledger: Ledger, topics: string[], random: Random): Promise<void> {
  const least = new Map(topics.map((topic) => [topic, ledger.acknowledgedOf(topic)]))
  const client = new TestClient(await broker.open())
  try {
    const { reasonCode } = await client.connect(`auditor ${random.next()}`)
    if (reasonCode !== 0) return
    const found = new Map<string, Buffer>()
    client.send({
      type: 'subscribe',
      packetId: 1,
      subscriptions: topics.map((topicFilter) => ({
        topicFilter,
        qos: 0 as const,
        noLocal: false,
        retainAsPublished: false,
        retainHandling: 0 as const,
      })),
      properties: undefined,
    })
    const suback = await client.receives('suback')
    if (suback.reasonCodes.some((code) => code >= 0x80)) return
    client.send({ type: 'pingreq' })
    for (;;) {
      const packet = await client.receivesAny()
      if (packet.type === 'pingresp') break
      if (packet.type === 'publish' && packet.retain) found.set(packet.topic, packet.payload)
    }
    for (const topic of topics) ledger.retained(topic, found.get(topic), least.get(topic) ?? 0)
  } finally {
    await client.drop()
  }
}

/** Resolves when it is so; rejects when nothing has changed for a long time. */
async function untilSo(ledger: Ledger, milliseconds: number, isSo: () => boolean, what: string): Promise<void> {
  let figures = ''
  let since = performance.now()
  while (!isSo()) {
    await pause(10)
    const now = `${JSON.stringify(ledger.figures)}${ledger.owed}`
    if (now !== figures) {
      figures = now
      since = performance.now()
    } else if (performance.now() - since > milliseconds) throw new Error(`${what} did not come`)
  }
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}
