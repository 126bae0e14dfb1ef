import type { Undecided } from '../sessions/predecessors.ts'

/** A request for the session of a Client, which this peer had. */
interface TakeOver {
  readonly clientId: string
  readonly peer: string
  /** The time of the request in milliseconds since 1970. */
  readonly time: number
}

/**
 * Packets of the former connection of a Client on which the hooks of its owner broker have not decided. Nothing of the
 * next connection becomes visible before that [MQTT-4.6.0-6].
 */
export class UndecidedAtPeer implements Undecided {
  readonly #request: TakeOver
  readonly #dropped: () => void
  #isDecided = false
  #decided: (() => void) | undefined

  /** @param dropped - called when the time of the peer is over */
  constructor(request: TakeOver, dropped: () => void) {
    this.#request = request
    this.#dropped = dropped
  }

  /** A session may be taken over from the same peer again before it has decided, so the time is compared, too. */
  isAt(peer: string, request?: { readonly clientId: string; readonly time: number }): boolean {
    if (peer !== this.#request.peer) return false
    return request === undefined || (request.clientId === this.#request.clientId && request.time === this.#request.time)
  }

  begin(decided: () => void): void {
    this.#decided = decided
    if (this.#isDecided) decided()
  }

  /** The peer has decided, or has left. */
  onDecided(): void {
    this.#isDecided = true
    this.#decided?.()
  }

  limit(): void {
    // The peer has started the time limit itself.
  }

  drop(): string {
    this.#dropped()
    return 'packets at another broker'
  }
}

/** The place in the order at which a peer is notified: all that came before it is decided. */
export class NoticeToPeer implements Undecided {
  readonly #send: () => void

  constructor(send: () => void) {
    this.#send = send
  }

  begin(decided: () => void): void {
    this.#send()
    decided()
  }

  limit(): void {
    // It takes no time of its own.
  }

  drop(): string {
    this.#send()
    return 'nothing of its own'
  }
}
