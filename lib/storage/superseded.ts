import type { PersistenceOperation, PublishOperation } from '../../types/persistence.ts'
import type { Change } from './commit-batch.ts'

/** The changes that take a publication out of a storage that may have a part of it. */
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
 * The same changes without those that a later one makes pointless, so that Clients who come and go while the storage
 * fails do not fill the memory: nothing of a session before its end, and of its descriptions the first and the last.
 */
export function dropSuperseded(changes: readonly Change[]): Change[] {
  const ended = new Set<string>()
  /** Where a session is described last; an earlier description is dropped when it is not the first one either. */
  const described = new Map<string, number>()
  const kept: (Change | undefined)[] = []
  for (const change of changes.toReversed()) {
    const { operation } = change
    if (operation.kind === 'publish' || operation.kind === 'discard') {
      kept.push(change)
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
      // The one in the middle, of which there is an earlier one now.
      if (later !== undefined && later >= 0) kept[later] = undefined
      described.set(clientId, later === undefined ? -1 : kept.length)
    }
    kept.push(change)
  }
  return kept.filter((change) => change !== undefined).toReversed()
}
