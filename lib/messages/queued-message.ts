import type { Encodings } from './encodings.ts'
import type { StoredPacket } from './message-id.ts'
import type { Message } from './message.ts'

/** A message that outbound queues, retained messages and the storage share after its publication. */
export class QueuedMessage {
  /** Replaced only by a copy of the same message, see `detach`. */
  message: Message
  /** Number of sessions in which it is queued or inflight. */
  holders = 0
  /** The stored form with its message id; undefined while it is not stored. */
  stored: StoredPacket | undefined = undefined
  /** The last batch of the commit queue that contains it; 0 if none. */
  batchNumber = 0
  /** Encoded packets that several queues will send; undefined if they are not retained. */
  encodings: Encodings | undefined = undefined
  /** Whether it is rejected; for a copy with another message id: the original, which decides. */
  #rejected: QueuedMessage | boolean

  constructor(message: Message, origin?: QueuedMessage) {
    this.message = message
    this.#rejected = origin ?? false
  }

  /** The commit failed and the publisher received an error, so no subscriber receives the message. */
  get isRejected(): boolean {
    return typeof this.#rejected === 'boolean' ? this.#rejected : this.#rejected.isRejected
  }

  reject(): void {
    this.#rejected = true
  }

  /** Replaces views of the read buffer by copies. */
  detach(): Message {
    this.message = this.message.detached()
    return this.message
  }
}
