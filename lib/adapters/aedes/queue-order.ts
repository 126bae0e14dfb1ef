import type { ReadPacket } from './stored-packet.ts'

/** Ids of haltere begin with the time of the start of the broker, so they sort by it. */
const haltereId = /^[0-9a-z]{8,12}-[0-9A-Za-z_]+$/

/**
 * Sorts a queue in the order of storing: sent messages first, then by the start of the broker, then by its counter.
 * Messages of aedes come before, in the order in which their brokers appear. Not all stores keep an order of their own.
 */
export function inOrder(reads: readonly ReadPacket[]): ReadPacket[] {
  const foreign = new Map<string, number>()
  for (const { packet } of reads) {
    const id = packet.brokerId ?? ''
    if (!haltereId.test(id) && !foreign.has(id)) foreign.set(id, foreign.size)
  }
  return reads.toSorted((a, b) => {
    const sent = Number(a.messageId === undefined) - Number(b.messageId === undefined)
    if (sent !== 0) return sent
    const [one, other] = [a.packet.brokerId ?? '', b.packet.brokerId ?? '']
    if (one === other) return (a.packet.brokerCounter ?? 0) - (b.packet.brokerCounter ?? 0)
    const [oneRank, otherRank] = [foreign.get(one) ?? foreign.size, foreign.get(other) ?? foreign.size]
    if (oneRank !== otherRank) return oneRank - otherRank
    return one < other ? -1 : 1
  })
}

/**
 * Sorts a queue of a store that keeps its own order, for several brokers: each broker keeps its places in the queue. In
 * these its messages are sorted by its counter, because it does not wait for one call before the next.
 */
export function inOwnOrder(reads: readonly ReadPacket[]): ReadPacket[] {
  const byBroker = new Map<string, ReadPacket[]>()
  const sentFirst = [
    ...reads.filter(({ messageId }) => messageId !== undefined),
    ...reads.filter(({ messageId }) => messageId === undefined),
  ]
  const placeOf = ({ packet, messageId }: ReadPacket): string => `${messageId === undefined}${packet.brokerId ?? ''}`
  for (const read of sentFirst) {
    const place = placeOf(read)
    const others = byBroker.get(place)
    if (others === undefined) byBroker.set(place, [read])
    else others.push(read)
  }
  for (const ofOne of byBroker.values()) {
    ofOne.sort((a, b) => (b.packet.brokerCounter ?? 0) - (a.packet.brokerCounter ?? 0)) // The last one is the first.
  }
  return sentFirst.map((read) => byBroker.get(placeOf(read))?.pop() ?? read)
}
