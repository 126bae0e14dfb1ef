import type { PersistedPublish } from '../../types/persistence.ts'

/** Identifies a message in every queue. Unlike the Packet Identifier it is unique among all brokers. */
export interface MessageId {
  readonly brokerId: string
  readonly brokerCounter: number
}

/** A message in the form of the storage. */
export type StoredPacket = PersistedPublish & MessageId

export function messageIdText({ brokerId, brokerCounter }: MessageId): string {
  return `${brokerId}:${brokerCounter}`
}
