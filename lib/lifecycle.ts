import type { MaybePromise } from '../types/hooks.ts'
import { MqttError } from './errors.ts'

/**
 * The state of a broker.
 *
 *   open ──a step of preparation begins──▶ opening ──the last step is done──▶ open
 *                                             └─────a step fails────────────▶ failed
 *   each of these three ──close()──▶ closing ──the last closing step is done──▶ closed
 */
export type BrokerState = 'opening' | 'open' | 'failed' | 'closing' | 'closed'

type Move = 'prepare' | 'prepared' | 'preparation failed' | 'close' | 'closed'

// A move that is not in the row of a state changes nothing: preparation may go on while the broker closes.
const moves: Record<BrokerState, Partial<Record<Move, BrokerState>>> = {
  open: { prepare: 'opening', close: 'closing' },
  opening: { prepared: 'open', 'preparation failed': 'failed', close: 'closing' },
  failed: { close: 'closing' },
  closing: { closed: 'closed' },
  closed: {},
}

/** Undoes a step of preparation. */
type Teardown = () => MaybePromise<void>
export type PreparationStep = () => MaybePromise<void | Teardown>
/** A step that fails is reported, and the next one runs. */
export type ClosingStep = () => MaybePromise<void>

/** Start and stop of a broker: preparation before the first connection, and its undoing in order. */
export class Lifecycle {
  #state: BrokerState = 'open'
  /** Settles with the last step of preparation; undefined when there is nothing to wait for. */
  #ready: Promise<void> | undefined
  /** Settles when the storage is restored; undefined when there is nothing to wait for. */
  #restored: Promise<void> | undefined
  /** Undefined as soon as they are called. */
  #teardowns: Teardown[] | undefined = []
  #closed: Promise<void> | undefined
  readonly #reportError: (error: Error) => void

  constructor(reportError: (error: Error) => void) {
    this.#reportError = reportError
  }

  get state(): BrokerState {
    return this.#state
  }

  /** Whether new connections, listeners and messages of the application are refused. */
  get isClosing(): boolean {
    return this.#state === 'closing' || this.#state === 'closed'
  }

  /** Connections wait for this promise, which rejects when a step failed; undefined when they need not wait. */
  get ready(): Promise<void> | undefined {
    return this.#ready
  }

  /** Work on sessions and retained messages waits for this promise; undefined when it need not wait. */
  get restored(): Promise<void> | undefined {
    return this.#restored
  }

  /** Throws the error of each method that a closed broker refuses. */
  refuseClosed(): void {
    if (this.isClosing) throw closedError()
  }

  /**
   * Rejects with the same error. A program that publishes in a timer and does not wait would otherwise end with the
   * broker; one that waits for the promise receives the error.
   */
  rejectClosed(): Promise<never> {
    const rejected = Promise.reject(closedError())
    rejected.catch(ignore)
    return rejected
  }

  /** Opens the storage at once; the plugins that are added later are set up after it. */
  restore(open: () => Promise<void>): void {
    const restored = open()
    this.#restored = restored
    restored.then(() => (this.#restored = undefined), ignore)
    this.prepare(() => restored)
  }

  /** Adds a step. Steps run one after the other, and none after one that failed. */
  prepare(step: PreparationStep): void {
    const ready = (this.#ready ?? Promise.resolve()).then(async () => this.#keepTeardown(await step()))
    this.#ready = ready
    this.#move('prepare')
    ready.then(
      () => {
        if (this.#ready !== ready) return // Another step was added.
        this.#ready = undefined
        this.#move('prepared')
      },
      () => this.#move('preparation failed'), // `ready` rejects for each listener and connection.
    )
  }

  async #keepTeardown(teardown: void | Teardown): Promise<void> {
    if (typeof teardown !== 'function') return
    if (this.#teardowns === undefined) await teardown()
    else this.#teardowns.push(teardown)
  }

  /** Undoes the steps of preparation, in the order of the steps. A step that ends later is undone at once. */
  async tearDown(): Promise<void> {
    const teardowns = this.#teardowns ?? []
    this.#teardowns = undefined
    for (const teardown of teardowns) await this.#run(teardown)
  }

  /** Runs the steps one after the other, the first one at once. Later calls wait for the first. Resolves always. */
  close(steps: readonly ClosingStep[]): Promise<void> {
    // Before the first step, which may call the application, and the application may call `close`.
    this.#closed ??= new Promise((resolve) => {
      this.#whenClosed = resolve
    })
    if (!this.isClosing) void this.#close(steps)
    return this.#closed
  }

  #whenClosed: () => void = ignore

  async #close(steps: readonly ClosingStep[]): Promise<void> {
    this.#move('close')
    for (const step of steps) await this.#run(step)
    this.#move('closed')
    this.#whenClosed()
  }

  async #run(step: ClosingStep): Promise<void> {
    try {
      await step()
    } catch (error) {
      this.#reportError(error as Error)
    }
  }

  #move(move: Move): void {
    this.#state = moves[this.#state][move] ?? this.#state
  }
}

export function closedError(): MqttError {
  return new MqttError('server-shutting-down', 'the broker is closed')
}

function ignore(): void {
  // Each part that waits for the promise handles its rejection.
}
