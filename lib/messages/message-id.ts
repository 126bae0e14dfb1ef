import type { PersistedPublish } from '../../types/persistence.ts'

/** Identifies a message in every queue. Unlike the Packet Identifier it is unique among all brokers. */
export interface MessageId {
  readonly brokerId: string
  readonly brokerCounter: number
}

/** A message in the form of the storage. */
export type StoredPacket = PersistedPublish & MessageId

/** By the order of publication, as far as the messages are of one broker. */
export function compareMessageIds(one: MessageId | undefined, other: MessageId | undefined): number {
  if (one === undefined || other === undefined) return Number(one !== undefined) - Number(other !== undefined)
  if (one.brokerId !== other.brokerId) return one.brokerId < other.brokerId ? -1 : 1
  return one.brokerCounter - other.brokerCounter
}

export function messageIdText({ brokerId, brokerCounter }: MessageId): string {
  return `${brokerId}:${brokerCounter}`
}
