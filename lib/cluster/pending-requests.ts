import type { Timer, Timers } from '../timers.ts'

export interface Responses {
  readonly responses: Map<string, unknown>
  /** Who was asked and did not answer in time, left, or failed to answer. */
  readonly timedOut: string[]
}

interface PendingRequest {
  readonly waitingFor: Set<string>
  readonly answers: Map<string, unknown>
  readonly silent: string[]
  readonly resolve: (answers: Responses) => void
  timer: Timer | undefined
}

/** What we asked other brokers and have no complete answer to. */
export class PendingRequests {
  readonly #timers: Timers
  readonly #open = new Map<number, PendingRequest>()
  #latest = 0

  constructor(timers: Timers) {
    this.#timers = timers
  }

  /** @param send - sends the question that has this number; answers may come before it returns. */
  ask(members: Iterable<string>, timeoutMs: number, send: (number: number) => void): Promise<Responses> {
    return new Promise((resolve) => {
      const question: PendingRequest = {
        waitingFor: new Set(members),
        answers: new Map(),
        silent: [],
        resolve,
        timer: undefined,
      }
      this.#latest += 1
      const number = this.#latest
      this.#open.set(number, question)
      question.timer = this.#timers.after(timeoutMs, () => this.#finish(number, question))
      send(number)
      this.#finishWhenComplete(number, question)
    })
  }

  answered(number: number, from: string, body: unknown): void {
    const question = this.#open.get(number)
    if (question === undefined || !question.waitingFor.delete(from)) return // Too late, twice, or not asked.
    question.answers.set(from, body)
    this.#finishWhenComplete(number, question)
  }

  failed(number: number, from: string): void {
    const question = this.#open.get(number)
    if (question === undefined || !question.waitingFor.delete(from)) return
    question.silent.push(from)
    this.#finishWhenComplete(number, question)
  }

  /** Nothing will come from it any more. */
  left(member: string): void {
    for (const number of this.#open.keys()) this.failed(number, member)
  }

  close(): void {
    for (const [number, question] of this.#open) this.#finish(number, question)
  }

  #finishWhenComplete(number: number, question: PendingRequest): void {
    if (question.waitingFor.size === 0) this.#finish(number, question)
  }

  #finish(number: number, question: PendingRequest): void {
    if (!this.#open.delete(number)) return
    this.#timers.cancel(question.timer)
    question.resolve({ responses: question.answers, timedOut: [...question.silent, ...question.waitingFor] })
  }
}
