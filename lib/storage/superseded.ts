import type { PersistenceOperation, PublishOperation } from '../../types/persistence.ts'

/** What takes a publication out of a store that may have a part of it. */
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
 * The same without what a later operation makes pointless, so that Clients who come and go while the store fails do
 * not fill the memory: nothing of a session before its end, and of what is said of it the first and the last.
 */
export function dropSuperseded(operations: readonly PersistenceOperation[]): PersistenceOperation[] {
  const ended = new Set<string>()
  /** Where a session was described last; what was said before it is dropped when it was not the first either. */
  const described = new Map<string, number>()
  const kept: (PersistenceOperation | undefined)[] = []
  for (const operation of operations.toReversed()) {
    if (operation.kind === 'publish' || operation.kind === 'discard') {
      kept.push(operation)
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
    kept.push(operation)
  }
  return kept.filter((operation) => operation !== undefined).toReversed()
}
