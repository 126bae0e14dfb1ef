import type { Undecided } from '../sessions/predecessors.ts'
import type { Client } from './client.ts'
import type { Input } from './input.ts'

/** A connection that ended before a hook decided on its last packets. */
export interface DrainingConnection {
  readonly input: Pick<Input, 'openGate' | 'drop'>
  readonly whenDropped: (() => void) | undefined
  /** No further packet of the connection has an effect. */
  drained(): void
}

/** The last packets of an ended connection: a PUBLISH that a hook has not decided on, and the packets behind it. */
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

  /** All packets are handled or dropped, perhaps before `begin`. */
  handled(): void {
    this.#isHandled = true
    this.#decided?.()
  }
}
