import type { Writer } from '../../packets/writer.ts'
import type {
  PersistedPacket,
  PersistedPublish,
  PersistedPubrel,
  PersistedSubscription,
  PersistedWill,
} from '../../../types/persistence.ts'
import type { Properties } from '../../../types/properties.ts'
import type { LogRecord } from '../memory/log-record.ts'
import { type Entry, type DeliveryOptions } from '../memory/stored-queue.ts'
import type { StoredState } from '../memory/stored-state.ts'
import { RecordKind, UNKNOWN } from './records.ts'

/**
 * `order` is the first of the numbers that are the change's own. With a state, the place of a message in a queue is
 * written beside its name: what is read back later may lack the message, and is not to be searched for it.
 */
export function writeChange(writer: Writer, change: LogRecord, order: number, state?: StoredState): void {
  const start = beginRecord(writer, RecordKind[change.kind])
  switch (change.kind) {
    case 'publish':
      double(writer, order)
      writer.uint8((change.retain ? 1 : 0) | (change.incoming === undefined ? 0 : 2))
      if (change.incoming !== undefined) {
        writer.string(change.incoming.clientId)
        writer.uint16(change.incoming.messageId)
      }
      writer.uint32(change.targets.length)
      for (const target of change.targets) writeTarget(writer, target.clientId, target, target.messageId)
      writePublish(writer, change.packet)
      break
    case 'session': {
      const { owner, expiryInterval, expiresAt } = change.session
      double(writer, order)
      writer.string(change.clientId)
      writer.uint8((owner === undefined ? 0 : 1) | (expiresAt === null ? 0 : 2))
      if (owner !== undefined) writer.string(owner)
      double(writer, expiryInterval)
      if (expiresAt !== null) double(writer, expiresAt)
      break
    }
    case 'subscribe':
      double(writer, order)
      writer.string(change.clientId)
      writer.uint32(change.subscriptions.length)
      for (const subscription of change.subscriptions) writeSubscription(writer, subscription)
      break
    case 'unsubscribe':
      writer.string(change.clientId)
      writer.uint32(change.topicFilters.length)
      for (const topicFilter of change.topicFilters) writer.string(topicFilter)
      break
    case 'send':
      writer.string(change.clientId)
      writer.string(change.brokerId)
      double(writer, change.brokerCounter)
      writer.uint16(change.messageId)
      double(
        writer,
        state?.outgoing.get(change.clientId)?.waitingOrder(change.brokerId, change.brokerCounter) ?? UNKNOWN,
      )
      break
    case 'release':
    case 'complete':
    case 'incoming done':
      writer.string(change.clientId)
      writer.uint16(change.messageId)
      break
    case 'discard':
      writer.string(change.brokerId)
      double(writer, change.brokerCounter)
      writer.uint32(change.clientIds.length)
      for (const clientId of change.clientIds) {
        writer.string(clientId)
        const [entry] = state?.outgoing.get(clientId)?.namedAll(change.brokerId, change.brokerCounter) ?? []
        double(writer, entry?.order ?? UNKNOWN)
      }
      break
    case 'incoming':
      double(writer, order)
      writer.string(change.clientId)
      writer.uint16(change.messageId)
      writer.uint8(change.packet === undefined ? 0 : 1)
      if (change.packet !== undefined) writePublish(writer, change.packet)
      break
    case 'will':
      double(writer, order)
      writer.string(change.clientId)
      writer.uint8(change.will === undefined ? 0 : 1)
      if (change.will !== undefined) writeWill(writer, change.will)
      break
    case 'update':
      writer.string(change.clientId)
      writePacket(writer, change.packet)
      break
    case 'end session':
    case 'clean subscriptions':
    case 'clean outgoing':
    case 'clean incoming':
      writer.string(change.clientId)
  }
  endRecord(writer, start)
}

/** A message with those of its places that are left. */
export function writeKept(
  writer: Writer,
  packet: PersistedPublish,
  order: number,
  retained: boolean,
  entries: readonly { readonly clientId: string; readonly entry: Entry }[],
): void {
  const start = beginRecord(writer, RecordKind.kept)
  double(writer, order)
  writer.uint8(retained ? 1 : 0)
  writer.uint32(entries.length)
  for (const { clientId, entry } of entries) {
    double(writer, entry.order)
    writeTarget(writer, clientId, entry.own, entry.messageId)
  }
  writePublish(writer, packet)
  endRecord(writer, start)
}

export function writeKeptPubrel(writer: Writer, clientId: string, entry: Entry, pubrel: PersistedPubrel): void {
  const start = beginRecord(writer, RecordKind['kept pubrel'])
  double(writer, entry.order)
  writeTarget(writer, clientId, entry.own, entry.messageId)
  writePubrel(writer, pubrel)
  endRecord(writer, start)
}

function beginRecord(writer: Writer, kind: number): number {
  writer.uint8(kind)
  writer.uint32(0)
  return writer.length
}

function endRecord(writer: Writer, start: number): void {
  writer.buffer.writeUInt32BE(writer.length - start, start - 4)
}

function double(writer: Writer, value: number): void {
  writer.reserve(8)
  writer.length = writer.buffer.writeDoubleBE(value, writer.length)
}

function writeTarget(writer: Writer, clientId: string, own: DeliveryOptions, messageId: number | undefined): void {
  const { qos, retain, subscriptionIdentifiers, sharedFilter } = own
  writer.string(clientId)
  writer.uint8(
    qos |
      (retain ? 4 : 0) |
      (messageId === undefined ? 0 : 8) |
      (subscriptionIdentifiers === undefined ? 0 : 16) |
      (sharedFilter === undefined ? 0 : 32),
  )
  if (messageId !== undefined) writer.uint16(messageId)
  if (subscriptionIdentifiers !== undefined) writeIdentifiers(writer, subscriptionIdentifiers)
  if (sharedFilter !== undefined) writer.string(sharedFilter)
}

function writeIdentifiers(writer: Writer, identifiers: readonly number[]): void {
  writer.uint32(identifiers.length)
  for (const identifier of identifiers) writer.uint32(identifier)
}

function writePayload(writer: Writer, payload: Buffer | string): void {
  const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload
  writer.uint32(bytes.length)
  writer.bytes(bytes)
}

function writePublish(writer: Writer, packet: PersistedPublish): void {
  const { brokerId, brokerCounter, messageId, clientId, properties, messageExpiry } = packet
  writer.string(packet.topic)
  writer.uint8(
    packet.qos |
      (packet.retain ? 4 : 0) |
      (packet.dup === undefined ? 0 : packet.dup ? 24 : 8) |
      (packet.nl === undefined ? 0 : packet.nl ? 96 : 32) |
      (typeof packet.payload === 'string' ? 128 : 0),
  )
  writer.uint8(
    (brokerId === undefined ? 0 : 1) |
      (brokerCounter === undefined ? 0 : 2) |
      (messageId === undefined ? 0 : 4) |
      (clientId === undefined ? 0 : 8) |
      (properties === undefined ? 0 : 16) |
      (messageExpiry === undefined ? 0 : 32),
  )
  if (brokerId !== undefined) writer.string(brokerId)
  if (brokerCounter !== undefined) double(writer, brokerCounter)
  if (messageId !== undefined) writer.uint16(messageId)
  if (clientId !== undefined) writer.string(clientId)
  if (properties !== undefined) writeProperties(writer, properties)
  if (messageExpiry !== undefined) double(writer, messageExpiry)
  writePayload(writer, packet.payload)
}

function writePubrel(writer: Writer, { messageId, brokerId, brokerCounter }: PersistedPubrel): void {
  writer.uint16(messageId)
  writer.uint8((brokerId === undefined ? 0 : 1) | (brokerCounter === undefined ? 0 : 2))
  if (brokerId !== undefined) writer.string(brokerId)
  if (brokerCounter !== undefined) double(writer, brokerCounter)
}

function writePacket(writer: Writer, packet: PersistedPacket): void {
  writer.uint8(packet.cmd === 'publish' ? 0 : 1)
  if (packet.cmd === 'publish') writePublish(writer, packet)
  else writePubrel(writer, packet)
}

function writeSubscription(writer: Writer, subscription: PersistedSubscription): void {
  const { topic, qos, rh, rap, nl, subscriptionIdentifier, grantedTopic, requestedQos } = subscription
  writer.string(topic)
  writer.uint8(
    qos |
      (rh === undefined ? 12 : rh << 2) |
      (rap === undefined ? 0 : rap ? 48 : 16) |
      (nl === undefined ? 0 : nl ? 192 : 64),
  )
  writer.uint8(
    (subscriptionIdentifier === undefined ? 0 : 1) |
      (grantedTopic === undefined ? 0 : 2) |
      (requestedQos === undefined ? 0 : 4),
  )
  if (subscriptionIdentifier !== undefined) writer.uint32(subscriptionIdentifier)
  if (grantedTopic !== undefined) writer.string(grantedTopic)
  if (requestedQos !== undefined) writer.uint8(requestedQos)
}

function writeWill(writer: Writer, will: PersistedWill): void {
  const { clientId, brokerId, properties, dueAt } = will
  writer.string(will.topic)
  writer.uint8(will.qos | (will.retain ? 4 : 0) | (typeof will.payload === 'string' ? 8 : 0))
  writer.uint8(
    (clientId === undefined ? 0 : 1) |
      (brokerId === undefined ? 0 : 2) |
      (properties === undefined ? 0 : 4) |
      (dueAt === undefined ? 0 : 8),
  )
  if (clientId !== undefined) writer.string(clientId)
  if (brokerId !== undefined) writer.string(brokerId)
  if (properties !== undefined) writeProperties(writer, properties)
  if (dueAt !== undefined) double(writer, dueAt)
  writePayload(writer, will.payload)
}

// The journal has a form of its own for Properties: it takes what is there, also what no packet may carry.
function writeProperties(writer: Writer, properties: Properties): void {
  const { payloadFormatIndicator, messageExpiryInterval, contentType, responseTopic, correlationData } = properties
  const { userProperties, subscriptionIdentifiers, topicAlias, willDelayInterval } = properties
  writer.uint16(
    (payloadFormatIndicator === undefined ? 0 : 1) |
      (messageExpiryInterval === undefined ? 0 : 2) |
      (contentType === undefined ? 0 : 4) |
      (responseTopic === undefined ? 0 : 8) |
      (correlationData === undefined ? 0 : 16) |
      (userProperties === undefined ? 0 : 32) |
      (subscriptionIdentifiers === undefined ? 0 : 64) |
      (topicAlias === undefined ? 0 : 128) |
      (willDelayInterval === undefined ? 0 : 256),
  )
  if (payloadFormatIndicator !== undefined) writer.uint8(payloadFormatIndicator)
  if (messageExpiryInterval !== undefined) writer.uint32(messageExpiryInterval)
  if (contentType !== undefined) writer.string(contentType)
  if (responseTopic !== undefined) writer.string(responseTopic)
  if (correlationData !== undefined) writer.binary(correlationData)
  if (userProperties !== undefined) {
    writer.uint32(userProperties.length)
    for (const [name, value] of userProperties) {
      writer.string(name)
      writer.string(value)
    }
  }
  if (subscriptionIdentifiers !== undefined) writeIdentifiers(writer, subscriptionIdentifiers)
  if (topicAlias !== undefined) writer.uint16(topicAlias)
  if (willDelayInterval !== undefined) writer.uint32(willDelayInterval)
}
