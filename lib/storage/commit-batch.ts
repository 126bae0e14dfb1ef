import type { PersistedTarget, PersistenceOperation, PublishOperation } from '../../types/persistence.ts'
import type { Publication } from '../messages/publication.ts'
import type { QueuedMessage } from '../messages/queued-message.ts'

/** Called when a commit succeeds or fails. */
export interface CommitListener {
  readonly onCommitted: () => void
  /** Called when the commit fails; undefined if the listener waits until a retry succeeds. */
  readonly onRejected: ((error: Error) => void) | undefined
}

/** A `publish` of the open batch, to which targets can be added. */
export interface OpenPublish extends PublishOperation {
  readonly targets: PersistedTarget[]
  retain: boolean
  isResumed: boolean
  incoming: { readonly clientId: string; readonly messageId: number } | undefined
}

/** A change, with its publication if it is a `publish`. */
export interface Change {
  readonly operation: PersistenceOperation
  readonly publication: Publication | undefined
}

// Approximate bytes of an operation beside its payload.
const OPERATION_BYTES = 200

/** The changes of one commit, in order. */
export class CommitBatch {
  readonly operations: PersistenceOperation[] = []
  /** The publication of each operation, at the same index; undefined if it is not a `publish`. */
  readonly #publications: (Publication | undefined)[] = []
  listeners: CommitListener[] = []
  /** Messages that are rejected if the commit fails: their publishers receive an error. */
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

  /** Replaces all changes. */
  replace(changes: readonly Change[]): void {
    this.operations.length = 0
    this.#publications.length = 0
    this.bytes = 0
    for (const { operation, publication } of changes) this.add(operation, publication)
  }
}
