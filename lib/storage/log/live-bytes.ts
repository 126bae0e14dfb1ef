import type {
  PersistedPublish,
  PersistedSessionInfo,
  PersistedSubscription,
  PersistedWill,
} from '../../../types/persistence.ts'
import { type DeliveryOptions, isCommon, messageIn } from '../memory/stored-queue.ts'
import type { SizeListener } from '../memory/stored-state.ts'
import { messageFields, sessionFields, subscriptionFields, targetFields, willFields } from '../records.ts'
import { RECORD_HEADER } from './record-kinds.ts'
import { fieldBytes } from './write-fields.ts'

/** How many bytes the journal would have if it held nothing but what is kept. */
export class LiveBytes implements SizeListener {
  bytes = 0

  message(packet: PersistedPublish, sign: 1 | -1): void {
    this.bytes += sign * publishBytes(packet)
  }

  entry(...[clientId, content, own, sign]: Parameters<SizeListener['entry']>): void {
    this.bytes += sign * (messageIn(content) === undefined ? pubrelBytes(clientId) : entryBytes(clientId, own))
  }

  subscription(...[clientId, subscription, sign]: Parameters<SizeListener['subscription']>): void {
    this.bytes += sign * subscriptionBytes(clientId, subscription)
  }

  will(...[clientId, will, sign]: Parameters<SizeListener['will']>): void {
    this.bytes += sign * willBytes(clientId, will)
  }

  session(...[clientId, session, sign]: Parameters<SizeListener['session']>): void {
    this.bytes += sign * sessionBytes(clientId, session)
  }

  incoming(...[clientId, packet, sign]: Parameters<SizeListener['incoming']>): void {
    this.bytes += sign * (packet === undefined ? pubrelBytes(clientId) : publishBytes(packet))
  }
}

/** How many bytes a message takes in the journal, nearly. Called for every message, so it is not exact. */
function publishBytes(packet: PersistedPublish): number {
  const { topic, payload, clientId } = packet
  return (
    RECORD_HEADER + 58 + topic.length + payload.length + (clientId?.length ?? 0) + fieldBytes(messageFields, packet)
  )
}

/** The same of one of its places. */
function entryBytes(clientId: string, own: DeliveryOptions): number {
  return 5 + clientId.length + (isCommon(own) ? 0 : fieldBytes(targetFields, own))
}

function pubrelBytes(clientId: string): number {
  return RECORD_HEADER + 50 + clientId.length
}

function subscriptionBytes(clientId: string, subscription: PersistedSubscription): number {
  const { topic } = subscription
  return RECORD_HEADER + 16 + clientId.length + topic.length + fieldBytes(subscriptionFields, subscription)
}

function willBytes(clientId: string, will: PersistedWill): number {
  const { topic, payload } = will
  return RECORD_HEADER + 19 + clientId.length + topic.length + payload.length + fieldBytes(willFields, will)
}

function sessionBytes(clientId: string, session: PersistedSessionInfo): number {
  return RECORD_HEADER + 19 + clientId.length + fieldBytes(sessionFields, session)
}
