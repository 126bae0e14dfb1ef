/** Somebody who brings a session here, uses it, or gives it away. */
export interface LockRequest {
  /** In milliseconds since 1970: of two brokers that ask each other the older claim has the session first. */
  readonly time: number
  /** The session is not here yet: other brokers are asked for it. */
  isFetching: boolean
  /** It is its turn. */
  begins(): void
}

interface Lock {
  holder: LockRequest
  readonly waiting: { readonly claim: LockRequest; readonly begin: () => void }[]
}

/** The claims to sessions of this broker, one after the other for each Client Identifier. */
export class SessionLocks {
  readonly #lanes = new Map<string, Lock>()

  holder(clientId: string): LockRequest | undefined {
    return this.#lanes.get(clientId)?.holder
  }

  /**
   * Waits for those that came before, when it is not urgent, or only for the one that has begun.
   * What is returned ends the claim.
   */
  async acquire(clientId: string, claim: LockRequest, isUrgent: boolean = false): Promise<() => void> {
    const lane = this.#lanes.get(clientId)
    if (lane === undefined) {
      this.#lanes.set(clientId, { holder: claim, waiting: [] })
      claim.begins()
    } else {
      await new Promise<void>((begin) => {
        if (isUrgent) lane.waiting.unshift({ claim, begin })
        else lane.waiting.push({ claim, begin })
      })
    }
    return () => this.#end(clientId, claim)
  }

  #end(clientId: string, claim: LockRequest): void {
    const lane = this.#lanes.get(clientId)
    if (lane?.holder !== claim) return
    const next = lane.waiting.shift()
    if (next === undefined) this.#lanes.delete(clientId)
    else {
      lane.holder = next.claim
      next.claim.begins()
      next.begin()
    }
  }
}
