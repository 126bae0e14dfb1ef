import { type MessageId, messageIdText } from '../messages/message-id.ts'
import type { Message } from '../messages/message.ts'
import type { Outbound } from '../sessions/outbound.ts'
import type { Session } from '../sessions/session.ts'
import type { CommitQueue } from '../storage/commit-queue.ts'
import { deliveryOf, type RecoveryEnvironment, RecoveredMessages, restoreRetained } from '../storage/recovery.ts'
import type { PersistedSessionState } from '../../types/persistence.ts'
import type { SharedReading } from '../../types/storage.ts'
import { queuedMessageOf } from '../storage/stored-message.ts'
import { GapRecovery } from './gap-recovery.ts'
import { MessageIdSet } from '../messages/message-id-set.ts'

/** Reads from the storage the changes of peers whose notices were lost. */
export class QueueRepair {
  readonly #environment: RecoveryEnvironment
  readonly #commits: CommitQueue
  readonly #shared: SharedReading
  /** The `gap` of each outbound side that has one. */
  readonly #recoveries = new WeakMap<Outbound, GapRecovery>()

  constructor(environment: RecoveryEnvironment, commits: CommitQueue, shared: SharedReading) {
    this.#environment = environment
    this.#commits = commits
    this.#shared = shared
  }

  /** Deliveries to these sessions stay in the storage until the session is repaired. */
  markStale(sessions: Iterable<Session>): void {
    for (const { storage, outbound } of sessions) if (storage.isDurable) this.#recoveryOf(outbound).markStale()
  }

  #recoveryOf(outbound: Outbound): GapRecovery {
    let recovery = this.#recoveries.get(outbound)
    if (recovery === undefined) {
      outbound.recoveredIds ??= new MessageIdSet()
      recovery = new GapRecovery(outbound.recoveredIds)
      this.#recoveries.set(outbound, recovery)
      outbound.gap = recovery
    }
    return recovery
  }

  /** Queues the messages of the storage that a stale session lacks: a peer stored them, and its notice was lost. */
  async repair({ clientId, outbound }: Session): Promise<void> {
    const recovery = this.#recoveries.get(outbound)
    if (recovery === undefined || outbound.ended) return
    recovery.startReading()
    const state = await this.#read(clientId, recovery)
    if (outbound.ended) return
    const messages = new RecoveredMessages(this.#environment)
    const stored = [...(state?.queue ?? [])].map((item) => deliveryOf(item, messages))
    const known = new Set<string>()
    for (const { content } of outbound.deliveries()) if (content.stored) known.add(messageIdText(content.stored))
    const has = (id: MessageId | undefined): boolean => {
      const key = id === undefined ? '' : messageIdText(id)
      const isKnown = known.has(key)
      known.add(key)
      return isKnown
    }
    for (const delivery of recovery.unseen(stored, has)) outbound.enqueue(delivery)
    if (!recovery.isStale) {
      this.#recoveries.delete(outbound)
      outbound.gap = undefined
    }
    outbound.sendPending()
  }

  async #read(clientId: string, recovery: GapRecovery): Promise<PersistedSessionState | undefined> {
    try {
      await this.#commits.committed() // The storage has what this broker has changed.
      return await this.#commits.storage.readSession(clientId)
    } catch (error) {
      recovery.failed()
      throw error
    }
  }

  /** Replaces the retained messages by those of the storage and those that were published here meanwhile. */
  async readRetained(): Promise<void> {
    await this.#commits.committed()
    const { retained, timers } = this.#environment
    const before = new Map<string, Message>()
    for (const message of retained.match('#')) before.set(message.topic, message)
    const removed = new Map(before)
    for await (const packet of this.#shared.readRetained()) {
      removed.delete(packet.topic)
      const here = retained.getQueued(packet.topic)
      if (here?.stored?.brokerCounter === packet.brokerCounter && here?.stored?.brokerId === packet.brokerId) continue
      // A change during the reading is newer.
      if (here?.message === before.get(packet.topic)) {
        restoreRetained(this.#environment, this.#commits, queuedMessageOf(packet, timers))
      }
    }
    for (const [topic, message] of removed) {
      if (retained.get(topic) === message && !topic.startsWith('$')) retained.remove(topic)
    }
  }
}
