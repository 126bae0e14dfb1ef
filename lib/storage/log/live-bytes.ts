import type { PersistedPublish, PersistedSubscription, PersistedWill } from '../../../types/persistence.ts'
import type { Properties } from '../../../types/properties.ts'
import { StoredMessage, type DeliveryOptions } from '../memory/stored-queue.ts'
import type { SizeListener } from '../memory/stored-state.ts'
import { RECORD_HEADER } from './records.ts'

/** How many bytes the journal would have if it held nothing but what is kept. */
export class LiveBytes implements SizeListener {
  bytes = 0

  message(packet: PersistedPublish, sign: 1 | -1): void {
    this.bytes += sign * publishBytes(packet)
  }

  entry(...[clientId, content, own, sign]: Parameters<SizeListener['entry']>): void {
    this.bytes += sign * (content instanceof StoredMessage ? entryBytes(clientId, own) : pubrelBytes(clientId))
  }

  subscription(...[clientId, subscription, sign]: Parameters<SizeListener['subscription']>): void {
    this.bytes += sign * subscriptionBytes(clientId, subscription)
  }

  will(...[clientId, will, sign]: Parameters<SizeListener['will']>): void {
    this.bytes += sign * willBytes(clientId, will)
  }

  session(...[clientId, { owner }, sign]: Parameters<SizeListener['session']>): void {
    this.bytes += sign * sessionBytes(clientId, owner)
  }

  incoming(...[clientId, packet, sign]: Parameters<SizeListener['incoming']>): void {
    this.bytes += sign * (packet === undefined ? pubrelBytes(clientId) : publishBytes(packet))
  }
}

/** How many bytes a message takes in the journal, nearly. Called for every message, so it is not exact. */
function publishBytes(packet: PersistedPublish): number {
  const { properties } = packet
  const more = properties === undefined ? 0 : propertiesBytes(properties)
  return RECORD_HEADER + 34 + packet.topic.length + packet.payload.length + more + (packet.clientId?.length ?? 0) + 24
}

function propertiesBytes(properties: Properties): number {
  let bytes = 12 + (properties.contentType?.length ?? 0) + (properties.responseTopic?.length ?? 0)
  bytes += properties.correlationData?.length ?? 0
  for (const [name, value] of properties.userProperties ?? []) bytes += 4 + name.length + value.length
  return bytes
}

/** The same of one of its places. */
function entryBytes(clientId: string, own: DeliveryOptions): number {
  const identifiers = own.subscriptionIdentifiers === undefined ? 0 : 4 + 4 * own.subscriptionIdentifiers.length
  return 5 + clientId.length + identifiers + (own.sharedFilter?.length ?? 0)
}

function pubrelBytes(clientId: string): number {
  return RECORD_HEADER + 50 + clientId.length
}

function subscriptionBytes(clientId: string, subscription: PersistedSubscription): number {
  const { topic, grantedTopic } = subscription
  return RECORD_HEADER + 20 + clientId.length + topic.length + (grantedTopic?.length ?? 0)
}

function willBytes(clientId: string, will: PersistedWill): number {
  const more = will.properties === undefined ? 0 : propertiesBytes(will.properties)
  return RECORD_HEADER + 40 + 2 * clientId.length + will.topic.length + will.payload.length + more
}

function sessionBytes(clientId: string, owner: string | undefined): number {
  return RECORD_HEADER + 30 + clientId.length + (owner?.length ?? 0)
}
