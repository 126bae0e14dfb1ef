import type { Responses } from './pending-requests.ts'

/** A message for the other brokers, with the fields that it has on an emitter. */
export interface PeerMessage {
  readonly topic: string
  readonly [field: string]: unknown
}

/**
 * The way to the other brokers: one order for everything that this broker sends, at most once, and losses are known.
 * `Membership` does this over an emitter, where each packet goes to all brokers. An engine with a connection to each
 * broker may send a packet only to those that need it, and the packets of a turn together.
 */
export interface Peers {
  /** Ids of the other brokers that are alive. */
  readonly members: ReadonlySet<string>
  /** Listens and makes itself known; resolves when the other brokers are known, or after a while. */
  start(): Promise<void>
  /**
   * Gives the messages of a turn to the other brokers, in this order.
   * @param interest - ids of the brokers with a subscriber for them; undefined when that is not known.
   */
  publish(messages: readonly PeerMessage[], interest?: ReadonlySet<string>): void
  /** Notifies all other brokers. The body is plain data: what JSON has, and Buffers. */
  broadcast(kind: string, body: unknown): void
  /** Notifies one broker. */
  send(to: string, kind: string, body: unknown): void
  /** Asks all other brokers, or one, and waits for the responses of those that are alive now. */
  request(
    kind: string,
    body: unknown,
    options: { readonly timeoutMs: number; readonly to?: string },
  ): Promise<Responses>
  /** Takes leave and listens no more. */
  stop(): Promise<void>
}
