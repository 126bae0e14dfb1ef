/** A connection whose CONNECT the application has not decided on. */
interface ConnectingClient {
  /** A CONNECT that came later was admitted: this one is not let in any more. */
  outdated(): void
}

/** One CONNECT among those for the same Client Identifier, in the order in which they came. */
export interface UndecidedConnect {
  readonly clientId: string
  readonly connection: ConnectingClient
  earlier: UndecidedConnect | undefined
  later: UndecidedConnect | undefined
}

/** The CONNECTs that are being decided on, by Client Identifier: when one is admitted, the earlier ones are outdated. */
export class UndecidedConnects {
  /** The latest one for each Client Identifier. */
  readonly #latest = new Map<string, UndecidedConnect>()

  add(clientId: string, connection: ConnectingClient): UndecidedConnect {
    const earlier = this.#latest.get(clientId)
    const connect: UndecidedConnect = { clientId, connection, earlier, later: undefined }
    if (earlier !== undefined) earlier.later = connect
    this.#latest.set(clientId, connect)
    return connect
  }

  /** It is decided: refused, admitted or gone. */
  remove(connect: UndecidedConnect): void {
    const { clientId, earlier, later } = connect
    if (earlier !== undefined) earlier.later = later
    if (later !== undefined) later.earlier = earlier
    else if (this.#latest.get(clientId) === connect) {
      if (earlier === undefined) this.#latest.delete(clientId)
      else this.#latest.set(clientId, earlier)
    }
    connect.earlier = undefined
    connect.later = undefined
  }

  /** The Client is let in: all CONNECTs that came before this one are outdated at once. */
  admit(connect: UndecidedConnect): void {
    for (let { earlier } = connect; earlier !== undefined; earlier = connect.earlier) {
      this.remove(earlier)
      earlier.connection.outdated()
    }
    this.remove(connect)
  }
}
