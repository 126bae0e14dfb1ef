import type { ReplicationInfo } from '../cluster/replication-info.ts'
import { Encodings } from './encodings.ts'
import type { Message } from './message.ts'
import { QueuedMessage } from './queued-message.ts'

// Encoded packets of larger messages are not retained for queues, because they would take too much memory.
const MAX_KEPT_ENCODING_BYTES = 4096

/**
 * The process of publishing one message to all subscribers, the storage and the peers. It ends with the commit; without
 * a storage, when the message is distributed.
 *
 *   router.publish ──▶ subscribers, retained messages ──▶ commit queue ──committed──▶ acknowledgement, other brokers
 *                                                                    └──failed─────▶ rolled back, refused
 */
export class Publication {
  /** Fields that peers need; undefined without a cluster. */
  replication: ReplicationInfo | undefined = undefined
  /** The message was published by an earlier process, so some subscribers may have received it. */
  isReplay = false
  /** Client Identifiers of sessions of peers that already have the message. */
  alreadyDeliveredTo: ReadonlySet<string> | undefined = undefined
  /** Copies at QoS 2 are sent after this commit; 0 if no commit is needed. */
  commitNumber = 0
  /** If the message is retained: the previous retained message of its topic. */
  retainedBefore: QueuedMessage | undefined = undefined
  /** Encoded packets for several subscribers; undefined if there is only one. */
  encodings: Encodings | undefined = undefined
  /** A connected subscriber queued the message and will send the same packets later. */
  isQueuedWhileConnected = false
  #message: Message
  #queued: QueuedMessage | undefined

  constructor(message: Message, queued?: QueuedMessage) {
    this.#message = message
    this.#queued = queued
  }

  /** The same message with a new message id, for another subscriber that may already have the first one. */
  static copyOf({ content, commitNumber }: { content: QueuedMessage; commitNumber: number }): Publication {
    const copy = new Publication(content.message, new QueuedMessage(content.message, content))
    copy.commitNumber = commitNumber
    return copy
  }

  get message(): Message {
    return this.#queued === undefined ? this.#message : this.#queued.message
  }

  /** The part that outlives the publication: outbound queues, retained messages and the storage share it. */
  get queued(): QueuedMessage {
    if (this.#queued === undefined) {
      this.#queued = new QueuedMessage(this.#message)
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
    if (this.#queued !== undefined) return this.#queued.detach()
    this.#message = this.#message.detached()
    return this.#message
  }

  /** The message has several subscribers, so encoded packets are shared. */
  shareEncodings(): void {
    this.encodings = new Encodings()
    if (this.#queued !== undefined) this.#queued.encodings = this.encodings
  }

  /** Every subscriber has its copy. Encoded packets are retained only for queues that will send them soon. */
  distributed(): void {
    this.encodings = undefined
    if (this.#queued === undefined) return
    const keeps = this.isQueuedWhileConnected && this.#queued.message.payload.length <= MAX_KEPT_ENCODING_BYTES
    if (!keeps) this.#queued.encodings = undefined
  }
}
