import type { PersistedPublish } from '../../types/persistence.ts'

/** The name of a message in every queue that has it. */
export interface MessageId {
  readonly brokerId: string
  readonly brokerCounter: number
}

/** A message as it is stored. */
export type StoredPacket = PersistedPublish & MessageId

export function messageIdText({ brokerId, brokerCounter }: MessageId): string {
  return `${brokerId}:${brokerCounter}`
}
