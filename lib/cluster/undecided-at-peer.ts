import type { Undecided } from '../sessions/predecessors.ts'

/**
 * Packets of the former connection of a Client on which the hooks of its owner broker have not decided. Nothing of the
 * next connection becomes visible before that [MQTT-4.6.0-6].
 */
export class UndecidedAtPeer implements Undecided {
  readonly clientId: string
  readonly peer: string
  #isDecided = false
  #decided: (() => void) | undefined

  constructor(clientId: string, peer: string) {
    this.clientId = clientId
    this.peer = peer
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
    return 'packets at another broker'
  }
}
