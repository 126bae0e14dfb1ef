import type { Undecided } from '../sessions/predecessors.ts'

/**
 * Packets of the former connection of a Client on which the hooks of its owner broker have not decided. Nothing of the
 * next connection becomes visible before that [MQTT-4.6.0-6].
 */
export class UndecidedAtPeer implements Undecided {
  readonly clientId: string
  readonly peer: string
  readonly #dropped: () => void
  #isDecided = false
  #decided: (() => void) | undefined

  /** @param dropped - called when the time of the peer is over */
  constructor(clientId: string, peer: string, dropped: () => void) {
    this.clientId = clientId
    this.peer = peer
    this.#dropped = dropped
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
