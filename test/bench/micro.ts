/** `npm run bench:micro`: measures single parts of the busy path in nanoseconds. See docs/performance.md. */
import { Bench } from 'tinybench'
import { Decoder } from '../../lib/packets/decoder.ts'
import { encodeInto } from '../../lib/packets/encoder.ts'
import { Writer } from '../../lib/packets/writer.ts'
import { RingQueue } from '../../lib/sessions/ring-queue.ts'
import { SubscriptionTree } from '../../lib/topics/subscription-tree.ts'
import { TopicTrie } from '../../lib/topics/topic-trie.ts'
import type { ProtocolLevel, PublishPacket } from '../../types/packets.ts'
import { publishPacket } from './load/packets.ts'

const ENTRIES = 100_000
const BATCH = 100 // Packets per chunk; the table shows the time of one packet.
const TOPICS = 10_000 // Matched in turn.

const bench = new Bench({ time: 500, warmupTime: 200 })
const operations = new Map<string, number>()

/** `count` is the number of operations of one call. */
function add(name: string, count: number, call: () => void): void {
  operations.set(name, count)
  bench.add(name, call)
}

const publish = { topic: 'site/7/device/1234/temperature', payloadBytes: 128, packetId: 7, stream: 0 } as const

function addDecoder(name: string, protocolLevel: ProtocolLevel, qos: 0 | 1): void {
  const packet = publishPacket({ ...publish, qos, version: protocolLevel === 5 ? 5 : 4 })
  const chunk = Buffer.concat(Array.from({ length: BATCH }, () => packet))
  const decoder = new Decoder({ protocolLevel })
  add(`decode PUBLISH, ${name}`, BATCH, () => {
    decoder.push(chunk)
    while (decoder.next() !== undefined);
  })
}

function addEncoder(name: string, protocolLevel: ProtocolLevel, properties: PublishPacket['properties']): void {
  const { topic, packetId } = publish
  const payload = Buffer.alloc(publish.payloadBytes)
  const packet: PublishPacket = {
    type: 'publish',
    topic,
    payload,
    qos: 1,
    retain: false,
    dup: false,
    packetId,
    properties,
  }
  const writer = new Writer(64 * 1024)
  add(`encode PUBLISH, ${name}`, BATCH, () => {
    for (let index = 0; index < BATCH; index += 1) encodeInto(writer, packet, protocolLevel)
    writer.length = 0
  })
}

const topicOf = (device: number): string => `site/${device % 100}/device/${device}/temperature`
const topics = Array.from({ length: TOPICS }, (_, index) => topicOf((index * 7_919) % (ENTRIES / 2)))

function addSubscriptionTree(name: string, filterOf: (device: number) => string, perDevice: number): void {
  const tree = new SubscriptionTree<object>()
  for (let device = 0; device < ENTRIES / perDevice; device += 1) tree.add(filterOf(device), { device })
  if (perDevice === 2) for (let device = 0; device < ENTRIES / 2; device += 1) tree.add(topicOf(device), { device })
  const found: object[] = []
  let turn = 0
  add(`match a topic with 100,000 filters, ${name}`, 1, () => {
    turn = (turn + 1) % TOPICS
    found.length = 0
    tree.match(topics[turn]!, found)
  })
}

function addRetained(): void {
  const trie = new TopicTrie<object>()
  for (let index = 0; index < ENTRIES; index += 1) {
    const rest = Math.floor(index / 100)
    trie.set(`building-${index % 100}/room-${Math.floor(rest / 10)}/kind-${rest % 10}`, { index })
  }
  let turn = 0
  const lookUp = (name: string, filterOf: () => string, found: number): void =>
    add(`find retained messages, ${name}`, found, () => {
      turn += 1
      let count = 0
      for (const _ of trie.match(filterOf())) count += 1
      if (count !== found) throw new Error(`${name}: expected ${found}, got ${count}`)
    })
  lookUp('1 by its topic', () => `building-${turn % 100}/room-${turn % 100}/kind-3`, 1)
  lookUp('100 by a/+/b, each', () => `building-${turn % 100}/+/kind-${turn % 10}`, 100)
  lookUp('100,000 by #, each', () => '#', ENTRIES)
}

function addQueue(): void {
  for (const waiting of [10, ENTRIES]) {
    const queue = new RingQueue<object>()
    const item = {}
    for (let index = 0; index < waiting; index += 1) queue.push(item)
    add(`push and shift a queue of ${waiting.toLocaleString('en-US')}`, BATCH, () => {
      for (let index = 0; index < BATCH; index += 1) {
        queue.push(item)
        queue.shift()
      }
    })
  }
}

addDecoder('MQTT 3.1.1, QoS 0', 4, 0)
addDecoder('MQTT 3.1.1, QoS 1', 4, 1)
addDecoder('MQTT 5.0 with 4 Properties', 5, 1)
addEncoder('MQTT 3.1.1', 4, undefined)
addEncoder('MQTT 5.0 with 3 Properties', 5, {
  messageExpiryInterval: 3_600,
  contentType: 'text/plain',
  userProperties: [['trace', '00-4bf92f3577b34da6a3ce929d0e0e4736-01']],
})
addSubscriptionTree('all exact', topicOf, 1)
addSubscriptionTree('half with +', (device) => `site/${device % 100}/device/${device}/+`, 2)
addRetained()
addQueue()

await bench.run()
console.table(
  bench.tasks.map(({ name, result }) => {
    if (result.state !== 'completed') return { operation: name, 'ns, median': 'failed' }
    const each = (milliseconds: number): string => ((milliseconds * 1e6) / operations.get(name)!).toPrecision(3)
    return { operation: name, 'ns, median': each(result.latency.p50), 'ns, p99': each(result.latency.p99) }
  }),
)
