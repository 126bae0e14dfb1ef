import { AsyncLocalStorage } from 'node:async_hooks'
import { isPromise } from './promises.ts'

/** The part of the broker that waits for application code: the receiver that takes no message meanwhile. */
export interface Waiting {
  /** Undefined if the receiver is not known yet. */
  readonly backPressure?: object | undefined
}

/** A call of a hook or a listener that the broker waits for. */
export class ApplicationCall {
  readonly waiting: Waiting
  readonly isHook: boolean
  isRunning = true
  /** The back-pressure that publications of this call wait for. */
  readonly waitsFor: Set<object> = new Set()

  constructor(waiting: Waiting, isHook: boolean) {
    this.waiting = waiting
    this.isHook = isHook
  }
}

// The tracking of asynchronous calls makes every promise of the process slower, so it is turned off when it is unused.
const IDLE_MS = 1000

// Calls of all brokers of the process, because the application may publish to one broker in a listener of another one.
const context = new AsyncLocalStorage<ApplicationCall>()
/** The part that waits for a call which has not returned yet. */
let synchronous: ApplicationCall | undefined
/** Calls that return a promise and have no context: a publication of unknown origin may belong to any of them. */
const unidentified = new Set<ApplicationCall>()
/** Calls whose publications wait for something. */
const blocked = new Set<ApplicationCall>()
let identifiedCalls = 0
let idleTimer: NodeJS.Timeout | undefined
let hasPublished = false

/** Returns the call that publishes now; undefined if the broker waits for none. */
export function publishingCall(): ApplicationCall | undefined {
  hasPublished = true
  if (synchronous !== undefined) return synchronous
  const call = context.getStore()
  return call?.isRunning === true ? call : undefined
}

/** Whether a publication of this call would wait for the end of the call, if it waited for this back-pressure. */
export function wouldWaitForItself(call: ApplicationCall | undefined, backPressure: object): boolean {
  if (call === undefined) {
    for (const other of unidentified) if (other.waiting.backPressure === backPressure) return true
    return false
  }
  const chain = new Set([backPressure])
  for (const link of chain) {
    if (call.waiting.backPressure === link) return true
    for (const other of blocked) {
      if (!other.isRunning || other.waiting.backPressure !== link) continue
      for (const next of other.waitsFor) chain.add(next)
    }
  }
  return false
}

/** A publication of the call waits for this back-pressure. Returns the function that ends the wait. */
export function waitIn(call: ApplicationCall | undefined, backPressure: object): () => void {
  if (call?.isRunning !== true) return () => undefined // Nothing waits for the call.
  call.waitsFor.add(backPressure)
  blocked.add(call)
  return () => {
    call.waitsFor.delete(backPressure)
    if (call.waitsFor.size === 0) blocked.delete(call)
  }
}

/**
 * One hook or listener of the application. Its calls are identified, so that a publication that is made in a call, or in
 * its asynchronous continuation, does not wait for the end of this call. A function that returns no promise is called
 * without a context, because a context costs time.
 */
export class ApplicationFunction {
  readonly #isHook: boolean
  #isSynchronous = false

  constructor(isHook: boolean) {
    this.#isHook = isHook
  }

  /** Calls `run`, and returns its result or throws its error. */
  call<Argument, Result>(waiting: Waiting, run: (argument: Argument) => Result, argument: Argument): Result {
    if (this.#isSynchronous || !hasPublished) return this.#callWithoutContext(waiting, run, argument)
    const call = new ApplicationCall(waiting, this.#isHook)
    begin()
    let result: Result
    try {
      result = context.run(call, run, argument)
    } catch (error) {
      end(call)
      throw error
    }
    if (isPromise(result)) {
      const ended = (): void => end(call)
      result.then(ended, ended)
    } else {
      this.#isSynchronous = true
      end(call)
    }
    return result
  }

  #callWithoutContext<Argument, Result>(
    waiting: Waiting,
    run: (argument: Argument) => Result,
    argument: Argument,
  ): Result {
    const outer = synchronous
    const call = (synchronous = this.#callOf(waiting))
    let result: Result
    try {
      result = run(argument)
    } finally {
      synchronous = outer
    }
    if (isPromise(result)) {
      this.#isSynchronous = false
      this.#lastCall = undefined
      unidentified.add(call)
      const ended = (): void => void unidentified.delete(call)
      result.then(ended, ended)
    }
    return result
  }

  // Mostly the same part waits for each call, so the object is used again.
  #lastCall: ApplicationCall | undefined

  #callOf(waiting: Waiting): ApplicationCall {
    if (this.#lastCall?.waiting !== waiting) {
      this.#lastCall = new ApplicationCall(waiting, this.#isHook)
      this.#lastCall.isRunning = false // Mostly its publications outlive it.
    }
    return this.#lastCall
  }
}

/**
 * The body of a `for await` loop over a subscription. The loop is recognized by its second call of `next`: the first
 * one may be made in the code that starts the loop, which goes on to run beside it.
 */
export class ApplicationLoop {
  readonly #call: ApplicationCall
  #hasContext = false
  #hasReceived = false

  constructor(waiting: Waiting) {
    this.#call = new ApplicationCall(waiting, false)
    this.#call.isRunning = false
  }

  /** The loop asks for the next message. Returns whether the loop is recognized from now on. */
  next(): boolean {
    this.end()
    if (!this.#hasReceived) return false
    if (hasPublished && context.getStore()?.isRunning !== true) {
      context.enterWith(this.#call)
      this.#hasContext = true
    }
    return true
  }

  /** The loop receives a message, and its body runs. */
  received(): void {
    this.#hasReceived = true
    this.#call.isRunning = true
    if (this.#hasContext) begin()
  }

  /** The body has ended. */
  end(): void {
    if (!this.#call.isRunning) return
    if (this.#hasContext) end(this.#call)
    this.#call.isRunning = false
  }
}

function begin(): void {
  identifiedCalls += 1
}

function end(call: ApplicationCall): void {
  call.isRunning = false
  identifiedCalls -= 1
  if (identifiedCalls > 0) return
  idleTimer ??= setTimeout(() => {
    idleTimer = undefined
    if (identifiedCalls === 0) context.disable()
  }, IDLE_MS).unref()
}
