import { Membership, type MembershipListener, type MembershipSettings } from '../../lib/cluster/membership.ts'
import { Timers } from '../../lib/timers.ts'
import type { Emitter, EmitterMessage } from '../../types/emitter.ts'
import type { Clock } from '../../types/options.ts'

/** A broker that writes down what its cluster tells it, as one line each. */
export class TestBroker implements MembershipListener {
  readonly id: string
  readonly cluster: Membership
  readonly timers: Timers
  readonly messages: EmitterMessage[] = []
  readonly bodies: unknown[] = []
  readonly errors: Error[] = []
  answer: (kind: string, body: unknown, from: string) => unknown = () => undefined
  onReceived: (message: EmitterMessage) => void = () => {}
  #lines: string[] = []
  readonly #waiting: { readonly line: string; readonly resolve: () => void }[] = []

  constructor(emitter: Emitter, id: string, clock: Clock, settings: Partial<MembershipSettings> = {}) {
    this.id = id
    this.timers = new Timers(clock, (error) => this.onError(error))
    this.cluster = new Membership(emitter, id, this.timers, this, settings)
  }

  onMessage(message: EmitterMessage, from: string): void {
    this.messages.push(message)
    this.#write(`${from} published ${message.topic}`)
    this.onReceived(message)
  }

  onForeignMessage(message: EmitterMessage): void {
    this.messages.push(message)
    this.#write(`another program published ${message.topic}`)
    this.onReceived(message)
  }

  onNotice(kind: string, body: unknown, from: string): void {
    this.bodies.push(body)
    this.#write(`${from} told ${kind}`)
  }

  onRequest(kind: string, body: unknown, from: string): unknown {
    this.#write(`${from} asked ${kind}`)
    return this.answer(kind, body, from)
  }

  onGap(from: string): void {
    this.#write(`missed ${from}`)
  }

  onInterruption(): void {
    this.#write('interrupted')
  }

  onJoin(id: string): void {
    this.#write(`${id} joined`)
  }

  onLeave(id: string, how: 'leave' | 'silence'): void {
    this.#write(`${id} left: ${how}`)
  }

  onError(error: Error): void {
    this.errors.push(error)
  }

  get members(): string[] {
    return [...this.cluster.members].toSorted()
  }

  /** What was told since this was called last. */
  log(): string[] {
    return this.#lines.splice(0)
  }

  /** Resolves when this line has been written, or is there already. */
  heard(line: string): Promise<void> {
    if (this.#lines.includes(line)) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push({ line, resolve }))
  }

  #write(line: string): void {
    this.#lines.push(line)
    for (const one of this.#waiting.filter((waiting) => waiting.line === line)) {
      this.#waiting.splice(this.#waiting.indexOf(one), 1)
      one.resolve()
    }
  }
}

/** As long as a mqemitter takes to call back: it uses `setImmediate`. */
export function immediates(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
}

/** A message as `publish` takes it. */
export function message(topic: string, payload = ''): { topic: string; payload: Buffer; qos: number; retain: boolean } {
  return { topic, payload: Buffer.from(payload), qos: 1, retain: false }
}
