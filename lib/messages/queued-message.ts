import type { Encodings } from './encodings.ts'
import type { StoredPacket } from './message-id.ts'
import type { Message } from './message.ts'

/** A message as all outbound queues that have it share it: what must be known of it after its publication is committed. */
export class QueuedMessage {
  /** Changes only to the same message in memory of its own; see `detach`. */
  message: Message
  /** Outbound queues that have it, queued or in flight. */
  holders = 0
  /** The message as it is stored, with its message id; undefined while it is not stored. */
  stored: StoredPacket | undefined = undefined
  /** The batch of the commit queue that it was added to last; 0 when it was not. */
  batchNumber = 0
  /** Packets that several queues will send; undefined when it is not worth keeping them. */
  encodings: Encodings | undefined = undefined
  /** True when it is rejected, or the queued message that it is a copy of and is rejected with. */
  #rejected: QueuedMessage | boolean

  constructor(message: Message, origin?: QueuedMessage) {
    this.message = message
    this.#rejected = origin ?? false
  }

  /** The storage failed and the publisher was told, so nobody gets the message. */
  get isRejected(): boolean {
    return typeof this.#rejected === 'boolean' ? this.#rejected : this.#rejected.isRejected
  }

  reject(): void {
    this.#rejected = true
  }

  /** Copies bytes that are views of what was read. */
  detach(): Message {
    this.message = this.message.detached()
    return this.message
  }
}
