import type { QoS } from '../../../types/packets.ts'
import type {
  PersistedPublish,
  PersistedSessionInfo,
  PersistedSubscription,
  PersistedTarget,
  PersistedWill,
} from '../../../types/persistence.ts'
import type { Properties, UserProperty } from '../../../types/properties.ts'
import type { StoredState } from '../memory/stored-state.ts'
import { RecordKind } from './record-kinds.ts'
import { RecordReader, type Writable } from './record-reader.ts'

/**
 * Reads records of version 1, which haltere 0.1.0 wrote: every optional field has a bit in one or two bytes of flags,
 * so there was no place for another field. A compaction writes the live ones as version 2.
 */
export class RecordReaderV1 extends RecordReader {
  /** The kinds of the methods of aedes, which the log of 0.1.0 had. */
  protected override applyOther(kind: number, state: StoredState): void {
    switch (kind) {
      case RecordKind.update: {
        const clientId = this.string()
        const packet = this.uint8() === 0 ? this.publish() : this.pubrel()
        state.apply({ kind: 'update', clientId, packet }, 0)
        break
      }
      case RecordKind['clean subscriptions']:
        state.apply({ kind: 'clean subscriptions', clientId: this.string() }, 0)
        break
      case RecordKind['clean outgoing']:
        state.apply({ kind: 'clean outgoing', clientId: this.string() }, 0)
        break
      case RecordKind['clean incoming']:
        state.apply({ kind: 'clean incoming', clientId: this.string() }, 0)
        break
      default:
        super.applyOther(kind, state)
    }
  }

  /** Version 1 has no fields behind a record. */
  protected override rest(): void {}

  /** The message is not needed, only its Packet Identifier. */
  protected override incomingRest(): void {
    if (this.uint8() === 1) this.publish()
  }

  session(): PersistedSessionInfo {
    const flags = this.uint8()
    const owner = flags & 1 ? this.string() : undefined
    const expiryInterval = this.double()
    const expiresAt = flags & 2 ? this.double() : null
    return { owner, expiryInterval, expiresAt }
  }

  target(): PersistedTarget {
    const clientId = this.string()
    const flags = this.uint8()
    const target: Writable<PersistedTarget> = { clientId, qos: (flags & 3) as QoS, retain: (flags & 4) !== 0 }
    if (flags & 8) target.messageId = this.uint16()
    if (flags & 16) target.subscriptionIdentifiers = this.#identifiers()
    if (flags & 32) target.sharedFilter = this.string()
    return target
  }

  publish(): PersistedPublish {
    const topic = this.string()
    const flags = this.uint8()
    const present = this.uint8()
    const qos = (flags & 3) as QoS
    const retain = (flags & 4) !== 0
    // Nearly all have a message id; an object that is created at once is smaller than one that grows.
    const packet: Writable<PersistedPublish> =
      (present & 3) === 3
        ? { cmd: 'publish', topic, payload: '', qos, retain, brokerId: this.string(), brokerCounter: this.integer() }
        : { cmd: 'publish', topic, payload: '', qos, retain }
    if ((present & 3) === 1) packet.brokerId = this.string()
    if ((present & 3) === 2) packet.brokerCounter = this.integer()
    if (flags & 8) packet.dup = (flags & 16) !== 0
    if (present & 4) packet.messageId = this.uint16()
    if (present & 8) packet.clientId = this.string()
    if (flags & 32) packet.nl = (flags & 64) !== 0
    if (present & 16) packet.properties = this.#properties()
    if (present & 32) packet.messageExpiry = this.double()
    packet.payload = this.payload((flags & 128) !== 0)
    return packet
  }

  subscription(): PersistedSubscription {
    const topic = this.string()
    const flags = this.uint8()
    const present = this.uint8()
    const rh = (flags >> 2) & 3
    const subscription: Writable<PersistedSubscription> = {
      topic,
      qos: (flags & 3) as QoS,
      rh: rh === 3 ? undefined : (rh as 0 | 1 | 2),
      rap: flags & 16 ? (flags & 32) !== 0 : undefined,
      nl: flags & 64 ? (flags & 128) !== 0 : undefined,
    }
    if (present & 1) subscription.subscriptionIdentifier = this.uint32()
    if (present & 2) subscription.grantedTopic = this.string()
    if (present & 4) subscription.requestedQos = this.uint8() as QoS
    return subscription
  }

  will(): PersistedWill {
    const topic = this.string()
    const flags = this.uint8()
    const present = this.uint8()
    const will: Writable<PersistedWill> = {
      topic,
      payload: '',
      qos: (flags & 3) as QoS,
      retain: (flags & 4) !== 0,
    }
    if (present & 1) will.clientId = this.string()
    if (present & 2) will.brokerId = this.string()
    if (present & 4) will.properties = this.#properties()
    if (present & 8) will.dueAt = this.double()
    will.payload = this.payload((flags & 8) !== 0)
    return will
  }

  #properties(): Properties {
    const present = this.uint16()
    const properties: Properties = {}
    if (present & 1) properties.payloadFormatIndicator = this.uint8() as 0 | 1
    if (present & 2) properties.messageExpiryInterval = this.uint32()
    if (present & 4) properties.contentType = this.string()
    if (present & 8) properties.responseTopic = this.string()
    if (present & 16) properties.correlationData = this.binary(this.uint16())
    if (present & 32) {
      const userProperties: UserProperty[] = []
      for (let left = this.uint32(); left > 0; left -= 1) userProperties.push([this.string(), this.string()])
      properties.userProperties = userProperties
    }
    if (present & 64) properties.subscriptionIdentifiers = this.#identifiers()
    if (present & 128) properties.topicAlias = this.uint16()
    if (present & 256) properties.willDelayInterval = this.uint32()
    return properties
  }

  #identifiers(): number[] {
    const list: number[] = []
    for (let left = this.uint32(); left > 0; left -= 1) list.push(this.uint32())
    return list
  }
}
