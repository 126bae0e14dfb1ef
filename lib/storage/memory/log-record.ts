import type { PersistedPacket, PersistedPublish, PersistenceOperation } from '../../../types/persistence.ts'

/** Everything that changes what is kept: the operations of `commit`, and what only the older methods do. */
export type LogRecord =
  | PersistenceOperation
  /** See `Persistence.outgoingUpdate`. */
  | { readonly kind: 'update'; readonly clientId: string; readonly packet: PersistedPacket }
  /** Keeps a QoS 2 message until its PUBREL; without a packet only its Packet Identifier. */
  | {
      readonly kind: 'incoming'
      readonly clientId: string
      readonly messageId: number
      readonly packet: PersistedPublish | undefined
    }
  | { readonly kind: 'clean subscriptions'; readonly clientId: string }
  | { readonly kind: 'clean outgoing'; readonly clientId: string }
  | { readonly kind: 'clean incoming'; readonly clientId: string }
