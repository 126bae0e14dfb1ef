import type { ReplicationInfo } from './replication-info.ts'
import { Encodings } from './encodings.ts'
import type { Message } from './message.ts'
import { QueuedMessage } from './queued-message.ts'

// Encoded packets of larger messages are not retained for queues, because they would take too much memory.
const MAX_KEPT_ENCODING_BYTES = 4096

/** Set for a publication that is replayed after a restart. */
export interface Replay {
  /** Client Identifiers of sessions of peers that already have the message. */
  readonly alreadyDeliveredTo: ReadonlySet<string> | undefined
}

/**
 * The process of publishing one message to all subscribers, the storage and the peers. It ends with the commit; without
 * a storage, when the message is distributed.
 *
 *   router.publish ──▶ subscribers, retained messages ──▶ commit queue ──committed──▶ acknowledgement, other brokers
 *                                                                    └──failed─────▶ rolled back, refused
 */
export class Publication {
  /** Replaced only by a copy of the same message, see `detach`. */
  message: Message
  /** Fields that peers need; undefined without a cluster. */
  replication: ReplicationInfo | undefined = undefined
  /** Set if an earlier process published the message, so that some subscribers may have it. */
  replay: Replay | undefined = undefined
  /** Encoded packets for several subscribers; undefined if there is only one. */
  encodings: Encodings | undefined = undefined
  /** Copies at QoS 2 are sent after this commit; 0 if no commit is needed. */
  commitNumber = 0
  #queued: QueuedMessage | undefined

  constructor(message: Message, queued?: QueuedMessage) {
    this.message = message
    this.#queued = queued
  }

  /** The same message with a new message id, for another subscriber that may already have the first one. */
  static copyOf({ content, commitNumber }: { content: QueuedMessage; commitNumber: number }): Publication {
    const copy = new Publication(content.message, new QueuedMessage(content.message, content))
    copy.commitNumber = commitNumber
    return copy
  }

  /** The part that outlives the publication: outbound queues, retained messages and the storage share it. */
  get queued(): QueuedMessage {
    if (this.#queued === undefined) {
      this.#queued = new QueuedMessage(this.message)
      this.#queued.encodings = this.encodings
    }
    return this.#queued
  }

  /** The last batch of the commit queue that contains it; 0 if none. */
  get batchNumber(): number {
    return this.#queued === undefined ? 0 : this.#queued.batchNumber
  }

  get isRejected(): boolean {
    return this.#queued?.isRejected === true
  }

  /** A peer published the message. */
  get fromPeer(): boolean {
    return this.replication?.fromPeer === true
  }

  /** Returns the message without views of the read buffer, to be stored for longer than the read. */
  detach(): Message {
    this.message = this.#queued === undefined ? this.message.detached() : this.#queued.detach()
    return this.message
  }

  /** The message has several subscribers, so encoded packets are shared. */
  shareEncodings(): void {
    this.encodings = new Encodings()
    if (this.#queued !== undefined) this.#queued.encodings = this.encodings
  }

  /** Every subscriber has its copy. Encoded packets are retained only for queues that will send them soon. */
  endSharing(): void {
    const isNeeded = this.encodings?.isQueued === true && this.message.payload.length <= MAX_KEPT_ENCODING_BYTES
    this.encodings = undefined
    if (!isNeeded && this.#queued !== undefined) this.#queued.encodings = undefined
  }
}
