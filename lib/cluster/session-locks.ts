/**
 *   waiting ──▶ asking peers ──▶ opening        a Client of this broker
 *   waiting ──▶ exclusive                       a release to a peer, or a session without an owner
 */
export type LockState = 'waiting' | 'asking peers' | 'opening' | 'exclusive'

/** A request for the session of one Client Identifier: to bring it here, to use it, or to release it. */
export interface LockRequest {
  /** In milliseconds since 1970: of two brokers that ask each other, the one with the older request is first. */
  readonly time: number
  state: LockState
  /** The first state of the request as the holder of the lock. */
  readonly stateAsHolder: 'asking peers' | 'exclusive'
}

interface Lock {
  holder: LockRequest
  readonly waiting: { readonly request: LockRequest; readonly granted: () => void }[]
}

export function lockRequest(time: number, stateAsHolder: LockRequest['stateAsHolder']): LockRequest {
  return { time, state: 'waiting', stateAsHolder }
}

/** One lock for each Client Identifier, within this broker. */
export class SessionLocks {
  readonly #locks = new Map<string, Lock>()

  holder(clientId: string): LockRequest | undefined {
    return this.#locks.get(clientId)?.holder
  }

  /**
   * Waits for all earlier requests; an urgent request waits for the holder only. Returns a function that
   * releases the lock; it may be called more than once.
   */
  async acquire(clientId: string, request: LockRequest, isUrgent: boolean = false): Promise<() => void> {
    const lock = this.#locks.get(clientId)
    if (lock === undefined) {
      this.#locks.set(clientId, { holder: request, waiting: [] })
      request.state = request.stateAsHolder
    } else {
      await new Promise<void>((granted) => {
        if (isUrgent) lock.waiting.unshift({ request, granted })
        else lock.waiting.push({ request, granted })
      })
    }
    return () => this.#release(clientId, request)
  }

  #release(clientId: string, request: LockRequest): void {
    const lock = this.#locks.get(clientId)
    if (lock?.holder !== request) return
    const next = lock.waiting.shift()
    if (next === undefined) {
      this.#locks.delete(clientId)
      return
    }
    lock.holder = next.request
    next.request.state = next.request.stateAsHolder // At once: a peer may ask before the promise continues.
    next.granted()
  }
}
