import type { PersistedPublish } from '../../../types/persistence.ts'
import type { Calls } from './calls.ts'
import type { Capabilities } from './probe.ts'
import { acceptedPlaceholder, fromStored, nameOf, type ReadPacket, toStored } from './stored-packet.ts'

interface Exchange {
  readonly clientId: string
  readonly messageId: number
}

/** In a store with two packets for one identifier, `accepted` has an identifier that no Client can have. */
const ACCEPTED_OFFSET = 65_536

/** Limits the search for more packets of one identifier. */
const MAX_COPIES = 100

/**
 * QoS 2 messages from Clients: `unknown ──begin──▶ begun ──accept──▶ accepted ──done──▶ unknown`.
 * The calls for one Client come one after another.
 */
export class StoredIncoming {
  readonly #calls: Calls
  readonly #can: Capabilities
  /** The exchanges since the start, for stores that cannot remove all of a Client at once. */
  readonly #open = new Map<string, Set<number>>()

  constructor(calls: Calls, capabilities: Capabilities) {
    this.#calls = calls
    this.#can = capabilities
  }

  async begin({ clientId, messageId }: Exchange, packet: PersistedPublish): Promise<void> {
    if (!this.#can.cleanIncoming) {
      const open = this.#open.get(clientId) ?? new Set()
      this.#open.set(clientId, open.add(messageId))
    }
    await this.#put(clientId, toStored(packet, nameOf(packet), !this.#can.incomingProperties, undefined, messageId))
  }

  async accept({ clientId, messageId }: Exchange, packet: PersistedPublish): Promise<void> {
    await this.#put(clientId, acceptedPlaceholder(nameOf(packet), this.#acceptedId(messageId)))
  }

  async done(clientId: string, messageId: number): Promise<void> {
    if (!this.#can.replacesIncoming) await this.#delete(clientId, this.#acceptedId(messageId))
    await this.#delete(clientId, messageId)
    const open = this.#open.get(clientId)
    open?.delete(messageId)
    if (open?.size === 0) this.#open.delete(clientId)
  }

  async clean(clientId: string): Promise<void> {
    if (this.#can.cleanIncoming) {
      await this.#calls.callWithRetry('cleanIncoming', async (store) => store.cleanIncoming?.({ id: clientId }))
      return
    }
    for (const messageId of this.#open.get(clientId) ?? []) await this.done(clientId, messageId)
  }

  async find(clientId: string, messageId: number): Promise<'unknown' | 'accepted' | PersistedPublish> {
    const accepted = await this.#get(clientId, this.#acceptedId(messageId))
    if (accepted?.kind === 'accepted') return 'accepted'
    const read = this.#can.replacesIncoming ? accepted : await this.#get(clientId, messageId)
    if (read === undefined) return 'unknown'
    // aedes stores a message before it delivers it, and acknowledges a duplicate without another delivery.
    return read.isOurs && read.kind === 'message' ? read.packet : 'accepted'
  }

  #acceptedId(messageId: number): number {
    return this.#can.replacesIncoming ? messageId : messageId + ACCEPTED_OFFSET
  }

  // A second try would store a second packet where the first is not replaced.
  #put(clientId: string, packet: PersistedPublish): Promise<unknown> {
    const method = this.#can.replacesIncoming ? 'callWithRetry' : 'call'
    return this.#calls[method]('incomingStorePacket', (store) => store.incomingStorePacket({ id: clientId }, packet))
  }

  async #get(clientId: string, messageId: number): Promise<ReadPacket | undefined> {
    const raw = await this.#calls.orUndefined(
      this.#calls.callWithRetry('incomingGetPacket', (store) =>
        store.incomingGetPacket({ id: clientId }, { messageId }),
      ),
    )
    return raw === undefined || raw === null ? undefined : fromStored(raw)
  }

  async #delete(clientId: string, messageId: number): Promise<void> {
    for (let copies = 0; copies < MAX_COPIES; copies += 1) {
      await this.#calls.orUndefined(
        this.#calls.callWithRetry('incomingDelPacket', (store) =>
          store.incomingDelPacket({ id: clientId }, { messageId }),
        ),
      )
      if (this.#can.replacesIncoming || (await this.#get(clientId, messageId)) === undefined) return
    }
  }
}
