import type { ReplicationInfo } from './replication-info.ts'
import { Encodings } from './encodings.ts'
import type { Message } from './message.ts'
import { QueuedMessage } from './queued-message.ts'

// A queue that sends a larger message later encodes it again: its packets would take too much memory meanwhile.
const MAX_KEPT_ENCODING_BYTES = 4096

/** A publication that is published once more after a restart. */
export interface Replay {
  /** Sessions at other brokers that have it already, by Client Identifier. */
  readonly alreadyDeliveredTo: ReadonlySet<string> | undefined
}

/**
 * A message on its way from its publisher to all subscribers, the storage and the other brokers. Its life ends when the
 * storage has committed it; without a storage, when it is distributed.
 *
 *   router.publish ──▶ subscribers, retained messages ──▶ commit queue ──committed──▶ acknowledgement, other brokers
 *                                                                    └──failed─────▶ rolled back, refused
 */
export class Publication {
  /** Changes only to the same message in memory of its own; see `detach`. */
  message: Message
  /** What other brokers must know of it; undefined when there are none. */
  replication: ReplicationInfo | undefined = undefined
  /** Set when it was published before this process began, so that some subscribers may have it. */
  replay: Replay | undefined = undefined
  /** Packets that are the same for several subscribers; undefined when there are not several. */
  encodings: Encodings | undefined = undefined
  /** Copies at QoS 2 are sent when this commit is done; 0 when at once. */
  commitNumber = 0
  /** What was retained for its topic before it, when it is retained. */
  retainedBefore: QueuedMessage | undefined = undefined
  #queued: QueuedMessage | undefined

  constructor(message: Message, queued?: QueuedMessage) {
    this.message = message
    this.#queued = queued
  }

  /** The same message for another subscriber, under a message id of its own: that subscriber may have the first one. */
  static copyOf({ content, commitNumber }: { content: QueuedMessage; commitNumber: number }): Publication {
    const copy = new Publication(content.message, new QueuedMessage(content.message, content))
    copy.commitNumber = commitNumber
    return copy
  }

  /** The part that outbound queues, retained messages and the storage share. */
  get queued(): QueuedMessage {
    if (this.#queued === undefined) {
      this.#queued = new QueuedMessage(this.message)
      this.#queued.encodings = this.encodings
    }
    return this.#queued
  }

  /** The batch of the commit queue that it was added to last; 0 when it was not. */
  get batchNumber(): number {
    return this.#queued === undefined ? 0 : this.#queued.batchNumber
  }

  get isRejected(): boolean {
    return this.#queued?.isRejected === true
  }

  /** Another broker published it. */
  get fromPeer(): boolean {
    return this.replication?.fromPeer === true
  }

  /** The message in memory of its own, for what keeps it longer than the read. */
  detach(): Message {
    this.message = this.#queued === undefined ? this.message.detached() : this.#queued.detach()
    return this.message
  }

  /** Several subscribers get it. */
  shareEncodings(): void {
    this.encodings = new Encodings()
    if (this.#queued !== undefined) this.#queued.encodings = this.encodings
  }

  /** Every subscriber has its copy. The packets are kept only for queues that will send them soon. */
  endSharing(): void {
    const isNeeded = this.encodings?.isQueued === true && this.message.payload.length <= MAX_KEPT_ENCODING_BYTES
    this.encodings = undefined
    if (!isNeeded && this.#queued !== undefined) this.#queued.encodings = undefined
  }
}
