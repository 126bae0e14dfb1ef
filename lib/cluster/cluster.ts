import type { Emitter, EmitterListener, EmitterMessage } from '../../types/emitter.ts'
import type { Timer, Timers } from '../timers.ts'
import {
  isFrom,
  type ClusterPacket,
  controlOnEmitter,
  MAXIMUM_MEMBERS,
  messageOnEmitter,
  readClusterPacket,
} from './cluster-packet.ts'
import { type Member, Members } from './members.ts'
import { Outbox } from './outbox.ts'
import { copyPlainData } from './plain-data.ts'
import { type Answers, Questions } from './questions.ts'
import { Reconnects } from './reconnects.ts'

/** Who is told what other brokers say. A throw of these is given to `failed`. */
export interface ClusterOwner {
  /** A message that another broker published, in that broker's order, never twice. A field that had no value is absent. */
  received(message: EmitterMessage, from: string): void
  /** A notice from another broker, in one order with its messages. */
  told(kind: string, body: unknown, from: string): void
  /** A question from another broker: the answer, at once or later. A throw or rejection is answered as a failure. */
  asked(kind: string, body: unknown, from: string): unknown
  /** Messages or notices of that broker were lost on the way. Called once per gap, before what comes after it. */
  missed(from: string): void
  joined(id: string): void
  /** It said goodbye, or was not heard of for so long that it counts as dead; when it was not, it joins again. */
  left(id: string, how: 'goodbye' | 'silence'): void
  /** The emitter does not work, told once until it works again; or something that this owner was called for threw. */
  failed(error: Error): void
}

export interface ClusterSettings {
  /** Milliseconds between two signs of life. Default: 1,000. */
  readonly heartbeatMs: number
  /** Milliseconds without any after which a broker counts as dead. Default: 5,000. */
  readonly deadAfterMs: number
}

// So many heartbeats of our own we may miss.
const DEAF_BEATS = 3

/**
 * The brokers that share one emitter: who they are, what they publish, what they ask each other. The emitter delivers
 * at most once. This makes losses known, and keeps what arrives in order; it cannot bring back what is lost.
 *
 * ```text
 *              ┌────────────── heard of ◀──────────────┐
 *              ▼                                       │
 * unknown ─▶ member ─ nothing for deadAfterMs ─▶ left (silence)
 *              └───── goodbye ─────────────────▶ left (goodbye), for good: a broker that starts again has a new id
 * ```
 */
export class Cluster {
  readonly members: ReadonlySet<string>
  readonly #emitter: Emitter
  readonly #id: string
  readonly #timers: Timers
  readonly #owner: ClusterOwner
  readonly #settings: ClusterSettings
  readonly #members = new Members()
  readonly #questions: Questions
  readonly #outbox: Outbox
  readonly #reconnects: Reconnects
  /** The latest place given in our order. */
  #sequence = 0
  #beatTimer: Timer | undefined
  #started: Promise<void> | undefined
  /** Set while we get to know those that are there. */
  #starting: { readonly expected: Set<string>; hasAnswer: boolean; readonly done: () => void } | undefined
  #isListening = false
  #hasHeard = false
  /** When we heard last what we said ourselves. */
  #heardOwnAt = 0
  #mustListenAgain = false
  #isStopped = false
  #isFull = false

  constructor(
    emitter: Emitter,
    id: string,
    timers: Timers,
    owner: ClusterOwner,
    settings: Partial<ClusterSettings> = {},
  ) {
    this.#emitter = emitter
    this.#id = id
    this.#timers = timers
    this.#owner = owner
    this.#settings = { heartbeatMs: settings.heartbeatMs ?? 1_000, deadAfterMs: settings.deadAfterMs ?? 5_000 }
    this.members = this.#members.ids
    this.#questions = new Questions(timers)
    this.#outbox = new Outbox(emitter, this.#failed)
    this.#reconnects = new Reconnects(emitter)
  }

  /** Listens and makes itself known; resolves when those that are there have answered, or after two heartbeats. */
  start(): Promise<void> {
    this.#started ??= this.#start()
    return this.#started
  }

  /** Gives a message to all other brokers. */
  publish(message: { readonly topic: string; readonly [field: string]: unknown }): void {
    if (this.#isStopped) return
    const packet = messageOnEmitter(message, this.#id, this.#sequence + 1)
    this.#sequence += 1
    this.#outbox.send(packet)
  }

  /** Tells all other brokers something. The body is plain data: what JSON has, and Buffers. */
  tell(kind: string, body: unknown): void {
    if (!this.#isStopped) this.#sendSequenced('notice', { kind, body: copyPlainData(body) })
  }

  /** Asks all other brokers, or one, and waits for those that are alive now. */
  async ask(kind: string, body: unknown, options: { timeoutMs: number; to?: string }): Promise<Answers> {
    const { to, timeoutMs } = options
    if (to !== undefined && !this.members.has(to)) return { answers: new Map(), silent: [to] }
    if (this.#isStopped || this.members.size === 0) return { answers: new Map(), silent: [] }
    const copied = copyPlainData(body)
    return this.#questions.ask(to === undefined ? this.members : [to], timeoutMs, (question) => {
      this.#sendSequenced('question', { kind, body: copied, question, ...(to !== undefined && { to }) })
    })
  }

  /** Says goodbye and listens no more. The emitter stays open. */
  async stop(): Promise<void> {
    if (this.#isStopped) return
    this.#isStopped = true
    this.#timers.cancel(this.#beatTimer)
    this.#reconnects.stop()
    this.#starting?.done()
    this.#questions.close()
    this.#members.clear()
    if (this.#started === undefined) return
    // So that the emitter can be closed after this. It may also never call back.
    await this.#within(this.#settings.heartbeatMs, (done) => this.#sendUnsequenced('goodbye', {}, done))
    await this.#within(this.#settings.heartbeatMs, (done) => this.#emitter.removeListener('#', this.#listener, done))
  }

  async #start(): Promise<void> {
    if (this.#isStopped) return
    const known = new Promise<void>((resolve) => {
      const deadline = this.#timers.after(2 * this.#settings.heartbeatMs, () => this.#starting?.done())
      const done = (): void => {
        this.#starting = undefined
        this.#timers.cancel(deadline)
        resolve()
      }
      this.#starting = { expected: new Set(), hasAnswer: false, done }
    })
    this.#beatTimer = this.#timers.after(this.#settings.heartbeatMs, this.#beat)
    this.#reconnects.start(this.#reconnected, (error) => this.#outbox.failed(error))
    this.#listen()
    await known
  }

  #listen(): void {
    try {
      this.#emitter.on('#', this.#listener, () => {
        this.#isListening = true
        if (!this.#isStopped) this.#sendUnsequenced('hello', {})
      })
    } catch (error) {
      this.#outbox.failed(error)
    }
  }

  readonly #reconnected = (): void => {
    // mqemitter-redis calls back also when Redis was away for so long that subscribing has failed. Not at once: the
    // connection is not ready for it yet.
    this.#mustListenAgain = this.#isListening && !this.#hasHeard
    this.#sendUnsequenced('hello', {}) // What was lost while the connection was gone shows in the answers.
  }

  #listenAgain(): void {
    this.#mustListenAgain = false
    this.#isListening = false
    this.#emitter.removeListener('#', this.#listener)
    // A mqemitter removes in `setImmediate`.
    setImmediate(() => {
      if (!this.#isStopped) this.#listen()
    })
  }

  // Declared with both parameters: mqemitter gives a function of one parameter something else.
  readonly #listener: EmitterListener = (received, done) => {
    this.#hasHeard = true // At least what we said ourselves.
    if (!this.#isStopped) {
      if (isFrom(received, this.#id)) this.#heardOwnAt = this.#timers.now()
      const packet = readClusterPacket(received, this.#id)
      if (packet !== undefined) this.#handle(packet)
    }
    done() // Not before: an emitter with a limit of concurrency gives us the next one in it.
  }

  #handle(packet: ClusterPacket): void {
    if (packet.type === 'foreign message') {
      this.#call(() => this.#owner.received(packet.message, packet.from))
      return
    }
    if (!this.#isNext(packet)) return
    const { from } = packet
    switch (packet.type) {
      case 'message':
        return this.#call(() => this.#owner.received(packet.message, from))
      case 'notice':
        return this.#call(() => this.#owner.told(packet.kind, packet.body, from))
      case 'question':
        if (packet.to === undefined || packet.to === this.#id)
          this.#answer(packet.kind, packet.body, packet.question, from)
        return
      case 'answer':
        if (packet.to !== this.#id) return
        if (packet.failed) this.#questions.failed(packet.question, from)
        else this.#questions.answered(packet.question, from, packet.body)
        return
      case 'hello':
        return this.#beHeard(this.#starting === undefined)
      case 'heartbeat':
        return this.#gotToKnow(from, packet.members)
      case 'goodbye':
        this.#members.removeForGood(from)
        this.#left(from, 'goodbye')
    }
  }

  /** Whether a packet is to be handled: it is not when it comes twice or too late. Notices who joins and what is lost. */
  #isNext(packet: Exclude<ClusterPacket, { type: 'foreign message' }>): boolean {
    const { from } = packet
    const before = 'sequence' in packet ? packet.sequence - 1 : packet.last
    if (packet.type === 'goodbye' && !this.members.has(from)) {
      this.#members.removeForGood(from)
      return false
    }
    const member = this.#members.get(from) ?? this.#admit(from, before)
    if (member === undefined) return false
    member.heardAt = this.#timers.now()
    if (before > member.position) {
      member.position = before
      this.#call(() => this.#owner.missed(from))
    }
    if (!('sequence' in packet)) return true
    if (packet.sequence <= member.position) return false
    member.position = packet.sequence
    return true
  }

  #admit(id: string, before: number): Member | undefined {
    if (this.#members.isGone(id)) return undefined
    // A broker that was there before us begins for us where it is. One that came later began with us listening.
    const start = this.#starting === undefined ? 0 : before
    const member = this.#members.admit(id, start, this.#timers.now())
    if (member !== undefined) this.#call(() => this.#owner.joined(id))
    else if (!this.#isFull) {
      this.#isFull = true
      this.#failed(new Error(`cluster: expected at most ${MAXIMUM_MEMBERS} other brokers`))
    }
    return member
  }

  /** Whoever answers a hello says whom it knows; those we then wait for, too. */
  #gotToKnow(from: string, members: readonly string[] | undefined): void {
    const starting = this.#starting
    if (starting === undefined) return
    if (members !== undefined) {
      starting.hasAnswer = true
      for (const id of members) if (id !== this.#id && !this.#members.isGone(id)) starting.expected.add(id)
    }
    for (const id of starting.expected) if (this.members.has(id)) starting.expected.delete(id)
    starting.expected.delete(from)
    if (starting.hasAnswer && starting.expected.size === 0) starting.done()
  }

  #answer(kind: string, body: unknown, question: number, to: string): void {
    const succeed = (answer: unknown): void => {
      if (!this.#isStopped) this.#sendUnsequenced('answer', { to, question, body: copyPlainData(answer) })
    }
    const fail = (error: unknown): void => {
      this.#failed(error)
      if (!this.#isStopped) this.#sendUnsequenced('answer', { to, question, failed: true })
    }
    try {
      const answer = this.#owner.asked(kind, body, to)
      if (answer instanceof Promise) answer.then(succeed).catch(fail)
      else succeed(answer)
    } catch (error) {
      fail(error)
    }
  }

  readonly #beat = (): void => {
    const now = this.#timers.now()
    const late = now - (this.#beatTimer?.due ?? now)
    this.#beatTimer = this.#timers.after(this.#settings.heartbeatMs, this.#beat)
    // When the process stood still, what others said meanwhile is still to be read.
    this.#members.excuse(late, now)
    this.#listenWhenDeaf(now, late)
    for (const id of this.#members.silentSince(now - this.#settings.deadAfterMs)) {
      this.#members.removeSilent(id)
      this.#left(id, 'silence')
    }
    if (this.#isStopped) return
    this.#beHeard(false)
    if (this.#mustListenAgain && !this.#hasHeard) this.#listenAgain()
  }

  /**
   * Who does not hear itself hears nobody: that is not the silence of the others. ioredis may forget to subscribe when
   * it loses a connection that it has just made.
   */
  #listenWhenDeaf(now: number, late: number): void {
    if (!this.#isListening || !this.#hasHeard) return
    const silence = now - late - this.#heardOwnAt
    if (silence < DEAF_BEATS * this.#settings.heartbeatMs) return
    this.#members.excuse(silence, now)
    this.#heardOwnAt = now
    this.#hasHeard = false
    this.#listenAgain()
  }

  #beHeard(asAnswer: boolean): void {
    this.#sendUnsequenced('heartbeat', asAnswer ? { members: [...this.members] } : {})
  }

  #left(id: string, how: 'goodbye' | 'silence'): void {
    this.#call(() => this.#owner.left(id, how))
    this.#questions.left(id)
  }

  #sendSequenced(type: 'notice' | 'question', fields: Record<string, unknown>): void {
    this.#sequence += 1
    this.#outbox.send(controlOnEmitter(type, this.#id, { ...fields, sequence: this.#sequence }))
  }

  #sendUnsequenced(
    type: 'hello' | 'heartbeat' | 'answer' | 'goodbye',
    fields: Record<string, unknown>,
    taken?: () => void,
  ): void {
    this.#outbox.send(controlOnEmitter(type, this.#id, { ...fields, last: this.#sequence }), taken)
  }

  #call(run: () => void): void {
    if (this.#isStopped) return
    try {
      run()
    } catch (error) {
      this.#failed(error)
    }
  }

  readonly #failed = (error: unknown): void => {
    try {
      this.#owner.failed(error instanceof Error ? error : new Error(String(error)))
    } catch {
      // Nobody is left to be told.
    }
  }

  /** Waits until `run` calls `done`, but no longer than that. */
  #within(milliseconds: number, run: (done: () => void) => void): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#timers.after(milliseconds, resolve)
      const done = (): void => {
        this.#timers.cancel(timer)
        resolve()
      }
      try {
        run(done)
      } catch (error) {
        this.#outbox.failed(error)
        done()
      }
    })
  }
}
