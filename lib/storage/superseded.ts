import type { PersistenceOperation, PublishOperation } from '../../types/persistence.ts'
import type { Change } from './commit-batch.ts'

/** The changes that remove a publication from a storage that may have stored a part of it. */
export function* rollback({ packet, targets, incoming }: PublishOperation): IterableIterator<PersistenceOperation> {
  const { brokerId, brokerCounter } = packet
  if (brokerId === undefined || brokerCounter === undefined) return
  const own = targets.filter(({ isElsewhere }) => isElsewhere !== true)
  if (own.length > 0) {
    yield { kind: 'discard', clientIds: own.map(({ clientId }) => clientId), brokerId, brokerCounter }
  }
  for (const target of targets) {
    const { clientId, messageId, isElsewhere } = target
    if (messageId !== undefined) yield { kind: 'complete', clientId, messageId }
    if (isElsewhere !== true) continue
    yield { kind: 'discard', clientIds: [clientId], brokerId, brokerCounter, foreign: { packet, target } }
  }
  if (incoming !== undefined) yield { kind: 'incoming done', ...incoming }
}

/**
 * Drops changes that a later change supersedes, so that Clients that connect and disconnect while the storage fails do
 * not fill the memory: all changes of a session before its end, and all but its first and last `session` change.
 */
export function dropSuperseded(changes: readonly Change[]): Change[] {
  const ended = new Set<string>()
  /** Index of the earliest `session` change found so far; -1 while only the last one was found. */
  const described = new Map<string, number>()
  const remaining: (Change | undefined)[] = []
  for (const change of changes.toReversed()) {
    const { operation } = change
    if (operation.kind === 'publish' || operation.kind === 'discard') {
      remaining.push(change)
      continue
    }
    const { clientId, kind } = operation
    if (ended.has(clientId)) continue
    if (kind === 'end session') {
      ended.add(clientId)
      described.delete(clientId)
    }
    if (kind === 'session') {
      const later = described.get(clientId)
      // The change at `later` is neither the first nor the last.
      if (later !== undefined && later >= 0) remaining[later] = undefined
      described.set(clientId, later === undefined ? -1 : remaining.length)
    }
    remaining.push(change)
  }
  return remaining.filter((change) => change !== undefined).toReversed()
}
