import type { Undecided } from '../sessions/predecessors.ts'
import type { Client } from './client.ts'
import type { Input } from './input.ts'

/** A connection that has ended before a hook decided on all that it sent. */
export interface DrainingConnection {
  readonly input: Pick<Input, 'openGate' | 'drop'>
  /** Frees what the PUBLISH has taken that a hook is asked about. */
  readonly whenDropped: (() => void) | undefined
  /** No packet of it has an effect any more. */
  drained(): void
}

/** The packets of a connection that has ended: a PUBLISH that a hook has not decided on, and those behind it. */
export class RemainingPackets implements Undecided {
  readonly #connection: DrainingConnection
  readonly #client: Client
  #isHandled = false
  #decided: (() => void) | undefined

  constructor(connection: DrainingConnection, client: Client) {
    this.#connection = connection
    this.#client = client
  }

  begin(decided: () => void): void {
    this.#decided = decided
    if (this.#isHandled) decided()
    else this.#connection.input.openGate()
  }

  limit(): void {
    this.#client.hookTime = 'together'
  }

  drop(): string {
    this.#decided = undefined
    this.#client.hookTime = 'over'
    const count = this.#connection.input.drop()
    this.#connection.whenDropped?.()
    this.#connection.drained()
    return `${count} PUBLISH packets`
  }

  /** All of them are handled, or dropped, perhaps before their turn has come. */
  handled(): void {
    this.#isHandled = true
    this.#decided?.()
  }
}
