import type { PersistedPublish } from '../../../types/persistence.ts'
import type { Calls } from './calls.ts'
import type { Capabilities } from './probe.ts'
import { acceptedStandIn, fromStored, nameOf, type ReadPacket, toStored } from './stored-packet.ts'

interface Exchange {
  readonly clientId: string
  readonly messageId: number
}

/** Where a store keeps two packets under one identifier, `accepted` has one that no Client can have. */
const ABOVE_ALL_IDENTIFIERS = 65_536

/** So often is it looked for what else there is under an identifier. */
const MOST_COPIES = 100

/**
 * QoS 2 messages from Clients: `unknown ──begin──▶ being handed on ──accept──▶ accepted ──done──▶ unknown`.
 * Each method is called in the lane of its Client.
 */
export class StoredIncoming {
  readonly #calls: Calls
  readonly #can: Capabilities
  /** What was begun since the start, for stores that cannot remove all of a Client at once. */
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
    await this.#put(clientId, acceptedStandIn(nameOf(packet), this.#acceptedId(messageId)))
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
    // aedes stores a message before it hands it on, and answers as if it was done when it comes again.
    return read.isOurs && read.kind === 'message' ? read.packet : 'accepted'
  }

  #acceptedId(messageId: number): number {
    return this.#can.replacesIncoming ? messageId : messageId + ABOVE_ALL_IDENTIFIERS
  }

  // A second try would make a second one where the first is not replaced.
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
    for (let copies = 0; copies < MOST_COPIES; copies += 1) {
      await this.#calls.orUndefined(
        this.#calls.callWithRetry('incomingDelPacket', (store) =>
          store.incomingDelPacket({ id: clientId }, { messageId }),
        ),
      )
      if (this.#can.replacesIncoming || (await this.#get(clientId, messageId)) === undefined) return
    }
  }
}
