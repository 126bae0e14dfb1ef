import type { Persistence } from '../../types/persistence.ts'

/** What a call does instead of what it should. */
export type FaultKind =
  /** Fails, and nothing was stored. */
  | 'reject'
  /** The same, before there is a promise. */
  | 'throw'
  /** Fails, and everything was stored. */
  | 'reject after'
  /** Does nothing until it is released, then what it should. */
  | 'wait'
  /** The process ends before anything is stored. */
  | 'exit before'
  /** The process ends when everything is stored, before anybody knows. */
  | 'exit after'

export class StoreError extends Error {
  override name = 'StoreError'
}

/** Says which calls of a persistence fail, and counts them. */
export class Faults {
  #at = Infinity
  #until = Infinity
  #kind: FaultKind = 'reject'
  #isArmed = false
  #isReached = false
  #reached: () => void = () => undefined
  #waiting: (() => void)[] = []
  /** The methods that were called since `arm`, in order. */
  readonly calls: string[] = []

  /** Call number `at` from now, the first is 1, and `count` - 1 after it. */
  arm(kind: FaultKind, at: number, count = 1): void {
    this.calls.length = 0
    this.#kind = kind
    this.#at = at
    this.#until = at + count
    this.#isArmed = true
    this.#isReached = false
  }

  /** From now on all is well, also with the calls that wait. */
  disarm(): void {
    this.#isArmed = false
    for (const go of this.#waiting.splice(0)) go()
  }

  /** A call that was to fail was made. */
  get isReached(): boolean {
    return this.#isReached
  }

  reached(): Promise<void> {
    return this.#isReached ? Promise.resolve() : new Promise((resolve) => (this.#reached = resolve))
  }

  /** The fault of this call. */
  next(method: string): FaultKind | undefined {
    if (!this.#isArmed) return undefined
    this.calls.push(method)
    if (this.calls.length < this.#at || this.calls.length >= this.#until) return undefined
    this.#isReached = true
    this.#reached()
    return this.#kind
  }

  wait(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }
}

const streams = new Set([
  'createRetainedStream',
  'createRetainedStreamCombi',
  'getClientList',
  'outgoingStream',
  'streamWill',
  'allSubscriptions',
  'readAll',
])
const methods = new Set([
  'storeRetained',
  'addSubscriptions',
  'removeSubscriptions',
  'cleanSubscriptions',
  'subscriptionsByClient',
  'subscriptionsByTopic',
  'countOffline',
  'outgoingEnqueue',
  'outgoingEnqueueCombi',
  'outgoingUpdate',
  'outgoingClearMessageId',
  'incomingStorePacket',
  'incomingGetPacket',
  'incomingDelPacket',
  'putWill',
  'getWill',
  'delWill',
  'cleanIncoming',
  'cleanOutgoing',
  'retainedGet',
  'commit',
])

/** The same persistence, whose calls fail as `faults` says. `setup` and `destroy` do not. */
export function faulty(persistence: Persistence, faults: Faults): Persistence {
  return new Proxy(persistence, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target)
      if (typeof member !== 'function') return member
      const call = (...args: unknown[]): unknown => Reflect.apply(member, target, args)
      if (streams.has(String(name))) return (...args: unknown[]) => stream(String(name), faults, () => call(...args))
      if (methods.has(String(name))) return (...args: unknown[]) => answer(String(name), faults, () => call(...args))
      return call
    },
  })
}

function answer(method: string, faults: Faults, call: () => unknown): unknown {
  const fault = faults.next(method)
  if (fault === undefined) return call()
  if (fault === 'throw') throw new StoreError(`${method} throws`)
  return late(method, fault, faults, call)
}

async function late(method: string, fault: FaultKind, faults: Faults, call: () => unknown): Promise<unknown> {
  if (fault === 'exit before') await exit()
  if (fault === 'reject') throw new StoreError(`${method} rejects`)
  if (fault === 'wait') await faults.wait()
  const result = await call()
  if (fault === 'exit after') await exit()
  if (fault === 'reject after') throw new StoreError(`${method} rejects what it did`)
  return result
}

async function* stream(method: string, faults: Faults, call: () => unknown): AsyncIterable<unknown> {
  const fault = faults.next(method)
  if (fault === 'exit before') await exit()
  if (fault === 'reject' || fault === 'throw') throw new StoreError(`${method} fails`)
  if (fault === 'wait') await faults.wait()
  yield* call() as AsyncIterable<unknown>
  if (fault === 'exit after') await exit()
  if (fault === 'reject after') throw new StoreError(`${method} fails at its end`)
}

/** No handler runs and nothing is flushed. */
async function exit(): Promise<never> {
  process.kill(process.pid, 'SIGKILL')
  return new Promise(() => undefined)
}
