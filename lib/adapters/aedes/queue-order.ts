import type { ReadPacket } from './stored-packet.ts'

/** Ids of our brokers begin with the time of their start, so that they sort by it. */
const ourId = /^[0-9a-z]{8,12}-[0-9A-Za-z_]+$/

/**
 * The order of storing: what was sent first, then by the start of the broker that stored it, then by its counter.
 * What aedes stored came before, in the order in which its brokers first appear. Not all stores keep an order of their own.
 */
export function inOrder(reads: readonly ReadPacket[]): ReadPacket[] {
  const foreign = new Map<string, number>()
  for (const { packet } of reads) {
    const id = packet.brokerId ?? ''
    if (!ourId.test(id) && !foreign.has(id)) foreign.set(id, foreign.size)
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
 * The order of a store that keeps its own, which several brokers fill at once: each has its places there. In them stands
 * what it put there in the order of its counter, as it does not wait for one before it puts the next.
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
