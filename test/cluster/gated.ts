/** Brokers that share a store in this process, each with a gate of its own before it. */
import type { TestContext } from 'node:test'
import type { Persistence } from '../../types/persistence.ts'
import { type Ground, type Member, memoryGround, Together, until } from './together.ts'

/** Lets one method of a store wait: that which puts messages into queues, or another one. */
export class Gate {
  isOpen = true
  method: keyof Persistence = 'outgoingEnqueue'
  readonly #waiting: (() => void)[] = []

  /** The store behind the gate. */
  around(store: Persistence): Persistence {
    return new Proxy(store, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target)
        if (name !== this.method) return typeof value === 'function' ? value.bind(target) : value
        return async (...values: unknown[]) => {
          if (!this.isOpen) await new Promise<void>((resolve) => this.#waiting.push(resolve))
          return Reflect.apply(value as () => unknown, target, values)
        }
      },
    })
  }

  get hasWaiting(): boolean {
    return this.#waiting.length > 0
  }

  open(): void {
    this.isOpen = true
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}

export interface Gated {
  readonly ground: Ground
  readonly members: readonly Member[]
  readonly gates: readonly Gate[]
}

export async function gated(t: TestContext, count: number): Promise<Gated> {
  const ground = memoryGround()
  const together = new Together(ground)
  t.after(() => together.end())
  const gates = Array.from({ length: count }, () => new Gate())
  const adding: Promise<Member>[] = []
  for (const gate of gates) {
    const now = Date.now()
    adding.push(together.add({ persistence: gate.around(ground.persistence()) }))
    await until(() => Date.now() > now, 'the next millisecond') // Ids of brokers are in the order of their starts.
  }
  await ground.clock.leap(3000) // No other broker responds to the first.
  return { ground, members: await Promise.all(adding), gates }
}
