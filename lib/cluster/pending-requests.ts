import type { Timer, Timers } from '../timers.ts'

export interface Responses {
  readonly responses: Map<string, unknown>
  /** Brokers that did not respond in time, left, or failed to respond. */
  readonly timedOut: string[]
}

interface PendingRequest {
  readonly waitingFor: Set<string>
  readonly responses: Map<string, unknown>
  readonly failed: string[]
  readonly resolve: (responses: Responses) => void
  timer: Timer | undefined
}

/** Requests to other brokers for which responses are missing. */
export class PendingRequests {
  readonly #timers: Timers
  readonly #pending = new Map<number, PendingRequest>()
  #latest = 0

  constructor(timers: Timers) {
    this.#timers = timers
  }

  /** @param send - sends the request with this number; responses may come before it returns. */
  ask(members: Iterable<string>, timeoutMs: number, send: (number: number) => void): Promise<Responses> {
    return new Promise((resolve) => {
      const request: PendingRequest = {
        waitingFor: new Set(members),
        responses: new Map(),
        failed: [],
        resolve,
        timer: undefined,
      }
      this.#latest += 1
      const number = this.#latest
      this.#pending.set(number, request)
      request.timer = this.#timers.after(timeoutMs, () => this.#finish(number, request))
      send(number)
      this.#finishWhenComplete(number, request)
    })
  }

  responded(number: number, from: string, body: unknown): void {
    const request = this.#pending.get(number)
    if (request === undefined || !request.waitingFor.delete(from)) return // Too late, twice, or without a request.
    request.responses.set(from, body)
    this.#finishWhenComplete(number, request)
  }

  failed(number: number, from: string): void {
    const request = this.#pending.get(number)
    if (request === undefined || !request.waitingFor.delete(from)) return
    request.failed.push(from)
    this.#finishWhenComplete(number, request)
  }

  /** No response will come from this broker any more. */
  left(member: string): void {
    for (const number of this.#pending.keys()) this.failed(number, member)
  }

  close(): void {
    for (const [number, request] of this.#pending) this.#finish(number, request)
  }

  #finishWhenComplete(number: number, request: PendingRequest): void {
    if (request.waitingFor.size === 0) this.#finish(number, request)
  }

  #finish(number: number, request: PendingRequest): void {
    if (!this.#pending.delete(number)) return
    this.#timers.cancel(request.timer)
    request.resolve({ responses: request.responses, timedOut: [...request.failed, ...request.waitingFor] })
  }
}
