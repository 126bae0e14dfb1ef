import type {
  PersistedPublish,
  PersistedPubrel,
  PersistedSessionInfo,
  PersistedSubscription,
  PersistedTarget,
  PersistedWill,
} from '../../../types/persistence.ts'
import { Entry, deliveryOptionsOf } from '../memory/stored-queue.ts'
import type { RestoredEntry, StoredState } from '../memory/stored-state.ts'
import { ByteReader } from './byte-reader.ts'
import { RecordKind, UNKNOWN } from './record-kinds.ts'

export type Writable<T> = { -readonly [Field in keyof T]: T[Field] }

/**
 * Reads the records of a frame, whose checksum is valid. Records have this form in all versions of the format; the form
 * of the objects in them differs.
 */
export abstract class RecordReader extends ByteReader {
  /** The end of the present record. */
  protected end = 0

  abstract publish(): PersistedPublish
  abstract target(): PersistedTarget
  abstract subscription(): PersistedSubscription
  abstract will(): PersistedWill
  abstract session(): PersistedSessionInfo

  /** Reads the bytes behind the Packet Identifier of a QoS 2 message from a Client. */
  protected abstract incomingRest(): void

  /** Reads the unknown fields at the end of a record. */
  protected abstract rest(): void

  /** Applies a record of a kind that not all versions have. */
  protected applyOther(kind: number, _state: StoredState): void {
    throw new Error(`a record of kind ${kind}, which this version of haltere does not know`)
  }

  /** Reads the head of a record; returns its kind. */
  begin(): number {
    const kind = this.uint8()
    const length = this.uint32()
    this.end = this.position + length
    return kind
  }

  /** Moves to the next record. */
  skip(): void {
    this.position = this.end
  }

  /** Reads one record and applies it to the state. Returns the highest order number in it. */
  applyTo(state: StoredState): number {
    const kind = this.begin()
    const { end } = this
    const order = this.#applyTo(state, kind)
    this.rest()
    if (this.position !== end) {
      throw new Error(`a record of kind ${kind}: expected to end at byte ${end} of its chunk, got ${this.position}`)
    }
    return order
  }

  #applyTo(state: StoredState, kind: number): number {
    switch (kind) {
      case RecordKind.publish: {
        const order = this.integer()
        const { retain, incoming } = this.publishHead()
        const targets = this.targets()
        state.apply({ kind: 'publish', retain, incoming, targets, packet: this.publish() }, order)
        return order + targets.length
      }
      case RecordKind.kept: {
        const order = this.integer()
        const { retain } = this.publishHead()
        const entries: RestoredEntry[] = []
        let highest = order
        for (let left = this.uint32(); left > 0; left -= 1) {
          const entryOrder = this.integer()
          highest = Math.max(highest, entryOrder)
          entries.push({ order: entryOrder, target: this.target() })
        }
        state.restore(this.publish(), order, retain, entries)
        return highest
      }
      case RecordKind['kept pubrel']: {
        const order = this.integer()
        const target = this.target()
        state.restoreEntry(
          target.clientId,
          new Entry(this.pubrel(), deliveryOptionsOf(target), target.messageId, order),
        )
        return order
      }
      case RecordKind.session: {
        const order = this.integer()
        const clientId = this.string()
        state.apply({ kind: 'session', clientId, session: this.session() }, order)
        return order
      }
      case RecordKind.subscribe: {
        const order = this.integer()
        const clientId = this.string()
        const subscriptions: PersistedSubscription[] = []
        for (let left = this.uint32(); left > 0; left -= 1) subscriptions.push(this.subscription())
        state.apply({ kind: 'subscribe', clientId, subscriptions }, order)
        return order
      }
      case RecordKind.unsubscribe:
        state.apply({ kind: 'unsubscribe', clientId: this.string(), topicFilters: this.strings() }, 0)
        return 0
      case RecordKind.send: {
        const clientId = this.string()
        const brokerId = this.string()
        const brokerCounter = this.integer()
        const messageId = this.uint16()
        const order = this.integer()
        const change = { kind: 'send', clientId, brokerId, brokerCounter, messageId } as const
        if (order === UNKNOWN) state.apply(change, 0)
        else state.sendAt(order, change)
        return 0
      }
      case RecordKind.release:
        state.apply({ kind: 'release', clientId: this.string(), messageId: this.uint16() }, 0)
        return 0
      case RecordKind.complete:
        state.apply({ kind: 'complete', clientId: this.string(), messageId: this.uint16() }, 0)
        return 0
      case RecordKind['incoming done']:
        state.apply({ kind: 'incoming done', clientId: this.string(), messageId: this.uint16() }, 0)
        return 0
      case RecordKind.discard: {
        const brokerId = this.string()
        const brokerCounter = this.integer()
        for (let left = this.uint32(); left > 0; left -= 1) {
          const clientId = this.string()
          const order = this.integer()
          if (order === UNKNOWN) state.apply({ kind: 'discard', brokerId, brokerCounter, clientIds: [clientId] }, 0)
          else state.discardAt(order, clientId, brokerId, brokerCounter)
        }
        return 0
      }
      case RecordKind.incoming: {
        const order = this.integer()
        const clientId = this.string()
        const messageId = this.uint16()
        this.incomingRest()
        state.apply({ kind: 'incoming', clientId, messageId, packet: undefined }, order)
        return order
      }
      case RecordKind.will: {
        const order = this.integer()
        const clientId = this.string()
        state.apply({ kind: 'will', clientId, will: this.uint8() === 1 ? this.will() : undefined }, order)
        return order
      }
      case RecordKind['end session']:
        state.apply({ kind: 'end session', clientId: this.string() }, 0)
        return 0
      default:
        this.applyOther(kind, state)
        return 0
    }
  }

  pubrel(): PersistedPubrel {
    const pubrel: Writable<PersistedPubrel> = { cmd: 'pubrel', messageId: this.uint16() }
    const present = this.uint8()
    if (present & 1) pubrel.brokerId = this.string()
    if (present & 2) pubrel.brokerCounter = this.integer()
    return pubrel
  }

  publishHead(): {
    retain: boolean
    incoming: { readonly clientId: string; readonly messageId: number } | undefined
  } {
    const flags = this.uint8()
    const incoming = flags & 2 ? { clientId: this.string(), messageId: this.uint16() } : undefined
    return { retain: (flags & 1) !== 0, incoming }
  }

  targets(): PersistedTarget[] {
    const list: PersistedTarget[] = []
    for (let left = this.uint32(); left > 0; left -= 1) list.push(this.target())
    return list
  }
}
