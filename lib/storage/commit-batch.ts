import type { PersistedTarget, PersistenceOperation, PublishOperation } from '../../types/persistence.ts'
import type { Publication } from '../messages/publication.ts'
import type { QueuedMessage } from '../messages/queued-message.ts'

/** Called when a commit is done. */
export interface CommitListener {
  readonly onCommitted: () => void
  /** Takes back what was added; without it the broker tries again until it is committed. */
  readonly onRejected: ((error: Error) => void) | undefined
}

/** A `publish` of the open batch: it can still get more targets. */
export interface OpenPublish extends PublishOperation {
  readonly targets: PersistedTarget[]
  retain: boolean
  isResumed: boolean
  incoming: { readonly clientId: string; readonly messageId: number } | undefined
}

/** A change, and the publication that it belongs to when it is a `publish`. */
export interface Change {
  readonly operation: PersistenceOperation
  readonly publication: Publication | undefined
}

// Bytes that an operation takes beside a payload, roughly.
const OPERATION_BYTES = 200

/** The changes between two commits, in order. */
export class CommitBatch {
  readonly operations: PersistenceOperation[] = []
  /** At the place of each `publish` its publication. */
  readonly #publications: (Publication | undefined)[] = []
  listeners: CommitListener[] = []
  /** Messages that are given up when the commit fails, since their Clients are told so. */
  readonly #rejectable = new Set<QueuedMessage>()
  bytes = 0

  add(operation: PersistenceOperation, publication: Publication | undefined): void {
    this.operations.push(operation)
    this.#publications.push(publication)
    this.bytes += operation.kind === 'publish' ? OPERATION_BYTES + operation.packet.payload.length : OPERATION_BYTES
  }

  markRejectable({ queued }: Publication): void {
    this.#rejectable.add(queued)
  }

  isRejectable({ publication }: Change): boolean {
    return publication !== undefined && this.#rejectable.has(publication.queued)
  }

  *changes(): IterableIterator<Change> {
    for (const [index, operation] of this.operations.entries()) {
      yield { operation, publication: this.#publications[index] }
    }
  }

  /** The same batch with other changes. */
  replace(changes: readonly Change[]): void {
    this.operations.length = 0
    this.#publications.length = 0
    this.bytes = 0
    for (const { operation, publication } of changes) this.add(operation, publication)
  }
}
