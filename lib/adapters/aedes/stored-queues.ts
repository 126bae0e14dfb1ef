import { randomBytes } from 'node:crypto'
import type {
  ForeignMessage,
  PersistedPacket,
  PersistedPublish,
  PersistedQueueItem,
  PersistedTarget,
  Persistence,
} from '../../../types/persistence.ts'
import type { Calls } from './calls.ts'
import { inOrder, inOwnOrder } from './queue-order.ts'
import type { Capabilities } from './probe.ts'
import {
  endTopic,
  fromStored,
  type MessageName,
  nameOf,
  nameKey,
  pubrelByIdentifier,
  queueBrokerId,
  type ReadPacket,
  releasedPlaceholder,
  toStored,
} from './stored-packet.ts'

/** The fields of a queued message that later changes need. */
interface Entry {
  readonly name: MessageName
  /** The stored name in this queue. */
  stored: MessageName
  messageId: number | undefined
  /** The kind of the stored packet. */
  kind: ReadPacket['kind']
  /** Only for a store that needs the whole packet for every change. */
  readonly whole: { readonly packet: PersistedPublish; readonly target: PersistedTarget } | undefined
}

interface Queue {
  readonly byName: Map<string, Entry>
  readonly byMessageId: Map<number, Entry>
}

/** Messages without a Packet Identifier are removed by a higher one, which no Client can have. */
const MAX_PACKET_ID = 65_535

/** Limits successive pages that contain expired messages only. */
const MAX_EMPTY_PAGES = 1000

const endPacket: PersistedPublish = { cmd: 'publish', topic: endTopic, payload: '', qos: 1, retain: false }
const END = 'end'

/** A broker that has not removed its end marker in this time has ended. */
const MAX_END_AGE_MS = 60_000

/** From this length on the reader checks whether the store returned all of a queue: Redis ends after 1,001. */
const MIN_CHECKED_LENGTH = 100

/** The queues of Clients in a store. The calls for one Client come one after another. */
export class StoredQueues {
  readonly #calls: Calls
  readonly #can: Capabilities
  readonly #queues = new Map<string, Queue>()
  #copies = 0
  #removals = 0
  #ends = 0
  readonly #endsOf = randomBytes(6).toString('hex')

  constructor(calls: Calls, capabilities: Capabilities) {
    this.#calls = calls
    this.#can = capabilities
  }

  /** The number of queued messages in memory. */
  get size(): number {
    let size = 0
    for (const { byName } of this.#queues.values()) size += byName.size
    return size
  }

  /** @param isReplay - the queue may have the message although this broker does not know of it. */
  async enqueue(target: PersistedTarget, packet: PersistedPublish, isReplay = false): Promise<void> {
    const { clientId, messageId, isElsewhere = false } = target
    const { brokerId, brokerCounter } = packet
    if (brokerId === undefined || brokerCounter === undefined) throw new Error('a message to be queued needs its name')
    const name = { brokerId, brokerCounter }
    if (this.#find(clientId, name) === undefined) {
      const entry = this.#entryOf(clientId, name, { packet, target })
      if (isReplay && isElsewhere && (await this.#isStored(clientId, entry.stored))) return
      if (!isElsewhere) this.#remember(clientId, entry) // At once: others are being added to this queue.
      try {
        await this.#append(clientId, packet, target, entry.stored)
      } catch (error) {
        if (!isElsewhere) this.#forget(clientId, entry)
        throw error
      }
    }
    if (messageId !== undefined) await this.send(clientId, name, messageId)
  }

  async send(clientId: string, name: MessageName, messageId: number, foreign?: ForeignMessage): Promise<void> {
    const entry = this.#find(clientId, name) ?? (foreign && this.#entryOf(clientId, name, foreign))
    if (entry === undefined) return
    this.#forgetIdentifier(clientId, entry)
    entry.messageId = messageId
    await this.#write(clientId, entry, messageId)
    this.#remember(clientId, entry)
  }

  async release(clientId: string, messageId: number): Promise<void> {
    const entry = this.#queues.get(clientId)?.byMessageId.get(messageId)
    if (entry === undefined) return
    if (this.#can.release === 'nothing') return
    entry.kind = this.#can.release === 'pubrel' ? 'pubrel' : 'released'
    await this.#write(clientId, entry, messageId)
  }

  async complete(clientId: string, messageId: number): Promise<void> {
    const entry = this.#queues.get(clientId)?.byMessageId.get(messageId)
    const cleared = await this.#clear(clientId, messageId)
    if (entry === undefined) return
    if ((cleared === undefined || cleared === null) && this.#can.sharedPackets) {
      // The adapter of Redis has a limited cache of identifiers, which ends with the process.
      await this.#write(clientId, entry, messageId)
      await this.#clear(clientId, messageId)
    }
    this.#forget(clientId, entry)
  }

  async discard(clientId: string, name: MessageName, foreign?: ForeignMessage): Promise<void> {
    const entry = this.#find(clientId, name)
    if (entry === undefined && foreign === undefined) return
    // With a higher identifier an earlier attempt failed half way.
    if (entry?.messageId !== undefined && entry.messageId <= MAX_PACKET_ID) return
    const identifier = this.#unusedIdentifier()
    await this.send(clientId, name, identifier, foreign)
    await this.complete(clientId, identifier)
  }

  /** Whether the first page of the queue has the message. */
  async #isStored(clientId: string, stored: MessageName): Promise<boolean> {
    return (await this.#page(clientId)).some((read) => nameKey(read.stored) === nameKey(stored))
  }

  #entryOf(clientId: string, name: MessageName, whole: ForeignMessage): Entry {
    return {
      name,
      stored: this.#can.sharedPackets ? { ...name, brokerId: queueBrokerId(name.brokerId, clientId) } : name,
      messageId: undefined,
      kind: 'message',
      whole: this.#can.rewritesPackets ? whole : undefined,
    }
  }

  /** Removes all messages of a queue. */
  async drain(clientId: string): Promise<void> {
    let before = new Set<string>()
    for (;;) {
      const page = await this.#page(clientId)
      if (page.length === 0) break
      const now = new Set(page.map(({ stored }) => nameKey(stored)))
      if ([...now].every((name) => before.has(name))) throw this.#stuck(clientId)
      await Promise.all(page.map((read) => this.#remove(clientId, read)))
      before = now
    }
    this.#queues.delete(clientId)
  }

  async read(clientId: string): Promise<PersistedQueueItem[]> {
    const items: PersistedQueueItem[] = []
    const all = await this.#readAll(clientId)
    this.#queues.delete(clientId) // Not before: if the reading fails, the session goes on with what is known.
    const seconds: { readonly known: Entry; readonly read: ReadPacket }[] = []
    const discarded: ReadPacket[] = []
    for (const read of this.#can.sharedPackets ? inOwnOrder(all) : inOrder(all)) {
      const { packet, messageId, stored } = read
      if (messageId !== undefined && messageId > MAX_PACKET_ID) {
        discarded.push(read) // A process ended half way.
        continue
      }
      const name = nameOf(packet)
      const known = this.#find(clientId, name)
      if (known !== undefined) {
        seconds.push({ known, read })
        continue
      }
      const target: PersistedTarget = { clientId, ...read.target }
      const whole = this.#can.rewritesPackets ? { packet, target } : undefined
      this.#remember(clientId, { name, stored, messageId, kind: read.kind, whole })
      if (read.kind === 'message') items.push({ packet, target })
      else if (messageId !== undefined) items.push({ packet: { cmd: 'pubrel', messageId, ...name }, target: undefined })
    }
    for (const { known, read } of seconds) await this.#removeSecond(clientId, known, read)
    for (const read of discarded) if (!this.#knows(clientId, read)) await this.#remove(clientId, read)
    return items
  }

  /** Reads a whole queue, also from a store that returns only its beginning. */
  async #readAll(clientId: string): Promise<ReadPacket[]> {
    const first = await this.#page(clientId)
    // In Redis expired messages count too, so a short page may be the beginning of a long queue.
    if (first.length < MIN_CHECKED_LENGTH && !this.#can.sharedPackets) return first.filter(({ kind }) => kind !== 'end')
    // A new marker each time: other brokers may read the same queue.
    this.#ends = Math.max(this.#ends + 1, Date.now())
    const end = { brokerId: queueBrokerId(`${END}-${this.#endsOf}`, clientId), brokerCounter: this.#ends }
    await this.#append(clientId, endPacket, { clientId, qos: 1, retain: false }, end)
    const moved = new Map<string, ReadPacket>()
    let rounds = 0
    for (;;) {
      const page = await this.#pageUpTo(clientId, end)
      const last = page.find(({ stored }) => nameKey(stored) === nameKey(end))
      if (last !== undefined) {
        await this.#remove(clientId, last)
        const rest = page.filter(({ kind, stored }) => kind !== 'end' && !moved.has(nameKey(stored)))
        return [...moved.values(), ...rest]
      }
      rounds += 1
      if (page.length === 0 && rounds > MAX_EMPTY_PAGES) throw this.#stuck(clientId)
      if (page.length > 0) rounds = 0
      // The page moves to the end, so that the store returns the next messages.
      for (const read of await this.#moveToEnd(clientId, page)) moved.set(nameKey(read.stored), read)
    }
  }

  /** Reads a page without the end markers of others, and removes their old ones. */
  async #pageUpTo(clientId: string, end: MessageName): Promise<ReadPacket[]> {
    const page = await this.#page(clientId)
    const others = page.filter(({ kind, stored }) => kind === 'end' && nameKey(stored) !== nameKey(end))
    for (const other of others) {
      if (other.stored.brokerCounter < Date.now() - MAX_END_AGE_MS) await this.#remove(clientId, other)
    }
    return page.filter((read) => !others.includes(read))
  }

  /** Adds a copy under another name, then removes the original. If the process ends between, a reader drops one. */
  async #moveToEnd(clientId: string, page: readonly ReadPacket[]): Promise<ReadPacket[]> {
    this.#copies = Math.max(this.#copies + 1, Date.now()) // The names differ from those of an earlier start.
    const unique = new Map(page.map((read) => [nameKey(read.stored), read]))
    return Promise.all(
      Array.from(unique.values(), async (read): Promise<ReadPacket> => {
        const { packet, messageId, kind } = read
        const name = nameOf(packet)
        const stored = { ...name, brokerId: queueBrokerId(name.brokerId, clientId, this.#copies) }
        const target = { clientId, ...read.target }
        await this.#append(clientId, packet, target, stored)
        const known = this.#find(clientId, name)
        if (known !== undefined) known.stored = stored
        if (messageId !== undefined) {
          const entry: Entry = {
            name,
            stored,
            messageId,
            kind: kind === 'message' ? kind : 'released',
            whole: { packet, target },
          }
          await this.#write(clientId, entry, messageId)
        }
        await this.#remove(clientId, read)
        return { ...read, kind: kind === 'message' ? kind : 'released', stored }
      }),
    )
  }

  /** Removes a second copy of a message. */
  async #removeSecond(clientId: string, kept: Entry, second: ReadPacket): Promise<void> {
    if (nameKey(second.stored) !== nameKey(kept.stored)) return this.#remove(clientId, second)
    if (this.#can.sharedPackets) return // Redis removes both when one is complete.
    await this.#remove(clientId, { ...second, messageId: undefined })
    if (kept.messageId !== undefined && kept.kind === 'message') await this.#write(clientId, kept, kept.messageId)
  }

  async #remove(clientId: string, read: ReadPacket): Promise<void> {
    const { packet, stored, kind, messageId = this.#unusedIdentifier() } = read
    const whole = { packet, target: { clientId, ...read.target } }
    const entry: Entry = { name: stored, stored, messageId, kind, whole }
    // The adapter of Redis may have another message under this identifier.
    if (read.messageId === undefined || this.#can.sharedPackets) await this.#write(clientId, entry, messageId)
    await this.#clear(clientId, messageId)
  }

  /** A new one each time, since several messages are removed at once. */
  #unusedIdentifier(): number {
    this.#removals = (this.#removals % 1_000_000) + 1
    return MAX_PACKET_ID + this.#removals
  }

  #append(clientId: string, packet: PersistedPublish, target: PersistedTarget, stored: MessageName): Promise<unknown> {
    const receiver = { clientId, topic: packet.topic, qos: target.qos }
    const whole = toStored(packet, stored, !this.#can.queueProperties, target)
    return this.#calls.call('outgoingEnqueue', (store) => store.outgoingEnqueue(receiver, whole))
  }

  /** Writes the entry again; does nothing if the store lacks it. */
  #write(clientId: string, entry: Entry, messageId: number): Promise<unknown> {
    const packet = this.#toWrite(entry, messageId) as PersistedPacket // Some have a string as counter.
    return this.#calls.orUndefined(
      this.#calls.callWithRetry('outgoingUpdate', (store) => store.outgoingUpdate({ id: clientId }, packet)),
    )
  }

  #toWrite({ name, stored, kind, whole }: Entry, messageId: number): object {
    if (kind === 'released') return releasedPlaceholder(stored, messageId)
    if (kind === 'pubrel') {
      return this.#can.sharedPackets ? { cmd: 'pubrel', messageId, ...stored } : pubrelByIdentifier(name, messageId)
    }
    if (whole === undefined) return { cmd: 'publish', ...stored, messageId }
    return toStored(whole.packet, stored, !this.#can.queueProperties, whole.target, messageId)
  }

  #clear(clientId: string, messageId: number): ReturnType<Persistence['outgoingClearMessageId']> {
    return this.#calls.callWithRetry('outgoingClearMessageId', (store) =>
      store.outgoingClearMessageId({ id: clientId }, { messageId }),
    )
  }

  /** Reads the messages that the store returns at once. */
  async #page(clientId: string): Promise<ReadPacket[]> {
    const page: ReadPacket[] = []
    for await (const raw of this.#calls.list('outgoingStream', (store) => store.outgoingStream({ id: clientId }))) {
      page.push(fromStored(raw))
    }
    return page
  }

  #find(clientId: string, name: MessageName): Entry | undefined {
    return this.#queues.get(clientId)?.byName.get(nameKey(name))
  }

  /** Whether the queue has another copy of the stored packet. */
  #knows(clientId: string, { packet, stored }: ReadPacket): boolean {
    const known = this.#find(clientId, nameOf(packet))
    return known !== undefined && nameKey(known.stored) === nameKey(stored)
  }

  #remember(clientId: string, entry: Entry): void {
    let queue = this.#queues.get(clientId)
    if (queue === undefined) {
      queue = { byName: new Map(), byMessageId: new Map() }
      this.#queues.set(clientId, queue)
    }
    queue.byName.set(nameKey(entry.name), entry)
    if (entry.messageId !== undefined) queue.byMessageId.set(entry.messageId, entry)
  }

  #forgetIdentifier(clientId: string, { messageId }: Entry): void {
    if (messageId !== undefined) this.#queues.get(clientId)?.byMessageId.delete(messageId)
  }

  #forget(clientId: string, entry: Entry): void {
    this.#forgetIdentifier(clientId, entry)
    const queue = this.#queues.get(clientId)
    queue?.byName.delete(nameKey(entry.name))
    if (queue?.byName.size === 0) this.#queues.delete(clientId)
  }

  #stuck(clientId: string): Error {
    return new Error(`the queue of ${JSON.stringify(clientId)} does not come to its end`)
  }
}
