/** Messages are queued for a disconnected Client, which then receives all of them after it reconnects. */
import { publishAll } from '../load/batch-publisher.ts'
import { Client } from '../load/client.ts'
import { faultsOf, Ledger } from '../load/ledger.ts'
import { publishPacket } from '../load/packets.ts'
import { until } from '../load/until.ts'
import { Stopwatch } from '../load/window.ts'
import { residentBytes } from '../process-usage.ts'
import type { Work } from './work.ts'

export const MESSAGES = 100_000

export const offline: Work = {
  name: 'offline',
  without: ['relay'],
  title: '100,000 QoS 1 messages for a session that is away, then taken',
  figures: {
    queue: { title: 'queued per second of broker CPU', unit: '1/s', better: 'more', isCompared: true },
    drain: { title: 'taken per second of broker CPU', unit: '1/s', better: 'more', isCompared: true },
    wall: { title: 'taken per second', unit: '1/s', better: 'more' },
    memory: { title: 'memory of a queued message (128 B of payload)', unit: 'B', better: 'less' },
  },
  async run(target, scale) {
    const { port, pid } = target
    const session = { port, clientId: 'traveller', cleanStart: false }
    const subscriber = await Client.connect(session)
    await subscriber.subscribe(['letters'], 1)
    subscriber.disconnect()
    await until(() => subscriber.closed, 2)

    const publisher = await Client.connect({ port, clientId: 'writer' })
    const wanted = Math.round(MESSAGES * scale.size)
    const ring = publishPacket({ topic: 'letters', qos: 1, payloadBytes: 128, version: 4, packetId: 0, stream: 0 })
    const encode = (index: number, packetId: number): Buffer => {
      const packet = Buffer.from(ring)
      packet.writeUInt16BE(packetId, packet.length - 130)
      packet.writeUInt32BE(index, packet.length - 124)
      return packet
    }
    const memory = residentBytes(pid)
    const queueing = new Stopwatch(pid)
    const queuedCount = await publishAll(publisher, wanted, encode, scale.limit)
    const queued = queueing.read(queuedCount)
    const bytes = (residentBytes(pid) - memory) / queuedCount

    const ledger = new Ledger(1)
    const draining = new Stopwatch(pid)
    const returned = await Client.connect({
      ...session,
      onMessage: (payload, offset) => ledger.take(0, payload.readUInt32BE(offset + 4)),
    })
    const all = await until(() => ledger.received >= queuedCount, scale.limit)
    const drained = draining.read(ledger.received)
    const faults = faultsOf([ledger], all ? queuedCount : ledger.received)
    returned.destroy()
    publisher.destroy()
    const isCut = !all || queuedCount < wanted
    return {
      figures: {
        queue: queued.count / queued.brokerCpu,
        drain: drained.count / drained.brokerCpu,
        wall: drained.count / drained.seconds,
        memory: bytes,
      },
      faults,
      ...(isCut && { note: `cut after ${scale.limit} s: ${queuedCount} queued, ${ledger.received} taken` }),
    }
  },
}
