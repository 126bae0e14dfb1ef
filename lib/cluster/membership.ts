import type { Emitter, EmitterListener, EmitterMessage } from '../../types/emitter.ts'
import type { Timer, Timers } from '../timers.ts'
import { Reconnects } from './emitters/index.ts'
import {
  isFrom,
  type ClusterPacket,
  controlOnEmitter,
  MAXIMUM_MEMBERS,
  type MemberPacket,
  messageOnEmitter,
  PROTOCOL_VERSION,
  readClusterPacket,
} from './protocol.ts'
import { type Member, MemberTable } from './member-table.ts'
import { Outbox } from './outbox.ts'
import { copyPlainData } from './plain-data.ts'
import type { PeerMessage, Peers } from './peers.ts'
import { type Responses, PendingRequests } from './pending-requests.ts'

/** Who is told what other brokers say. A throw of these is given to `failed`. */
export interface MembershipListener {
  /** A message that another broker published, in that broker's order, never twice. A field that had no value is absent. */
  onMessage(message: EmitterMessage, from: string): void
  /** A notice from another broker, in one order with its messages. */
  onNotice(kind: string, body: unknown, from: string): void
  /** A question from another broker: the answer, at once or later. A throw or rejection is answered as a failure. */
  onRequest(kind: string, body: unknown, from: string): unknown
  /** Messages or notices of that broker were lost on the way. Called once per gap, before what comes after it. */
  onGap(from: string): void
  onJoin(id: string): void
  /** It said goodbye, or was not heard of for so long that it counts as dead; when it was not, it joins again. */
  onLeave(id: string, how: 'goodbye' | 'silence'): void
  /** The emitter does not work, told once until it works again; or something that this owner was called for threw. */
  onError(error: Error): void
}

export interface MembershipSettings {
  /** Milliseconds between two signs of life. Default: 1,000. */
  readonly heartbeatMs: number
  /** Milliseconds without any after which a broker counts as dead. Default: 5,000. */
  readonly deadAfterMs: number
}

// So many heartbeats of our own we may miss.
const MAX_MISSED_OWN_HEARTBEATS = 3

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
export class Membership implements Peers {
  readonly members: ReadonlySet<string>
  readonly #emitter: Emitter
  readonly #id: string
  readonly #timers: Timers
  readonly #owner: MembershipListener
  readonly #settings: MembershipSettings
  readonly #members = new MemberTable()
  readonly #requests: PendingRequests
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
  #mustResubscribe = false
  #isStopped = false
  #isFull = false
  /** Brokers whose other version was reported. */
  readonly #otherVersions = new Set<string>()

  constructor(
    emitter: Emitter,
    id: string,
    timers: Timers,
    owner: MembershipListener,
    settings: Partial<MembershipSettings> = {},
  ) {
    this.#emitter = emitter
    this.#id = id
    this.#timers = timers
    this.#owner = owner
    this.#settings = { heartbeatMs: settings.heartbeatMs ?? 1_000, deadAfterMs: settings.deadAfterMs ?? 5_000 }
    this.members = this.#members.ids
    this.#requests = new PendingRequests(timers)
    this.#outbox = new Outbox(emitter, this.#failed)
    this.#reconnects = new Reconnects(emitter)
  }

  /** Listens and makes itself known; resolves when those that are there have answered, or after two heartbeats. */
  start(): Promise<void> {
    this.#started ??= this.#start()
    return this.#started
  }

  /** An emitter has one packet for each message, and gives it to all. */
  publish(messages: readonly PeerMessage[]): void {
    for (const message of messages) {
      if (this.#isStopped) return
      const packet = messageOnEmitter(message, this.#id, this.#sequence + 1)
      this.#sequence += 1
      this.#outbox.send(packet)
    }
  }

  broadcast(kind: string, body: unknown): void {
    if (!this.#isStopped) this.#sendSequenced('notice', { kind, body: copyPlainData(body) })
  }

  /** All brokers receive the packet, so that none finds a gap; the others take no notice of it. */
  send(to: string, kind: string, body: unknown): void {
    if (!this.#isStopped) this.#sendSequenced('notice', { kind, body: copyPlainData(body), to })
  }

  async request(kind: string, body: unknown, options: { timeoutMs: number; to?: string }): Promise<Responses> {
    const { to, timeoutMs } = options
    if (to !== undefined && !this.members.has(to)) return { responses: new Map(), timedOut: [to] }
    if (this.#isStopped || this.members.size === 0) return { responses: new Map(), timedOut: [] }
    const copied = copyPlainData(body)
    return this.#requests.ask(to === undefined ? this.members : [to], timeoutMs, (question) => {
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
    this.#requests.close()
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
    // An emitter may call back also when its server was away for so long that subscribing has failed. Not at once: the
    // connection is not ready for it yet.
    this.#mustResubscribe = this.#isListening && !this.#hasHeard
    this.#sendUnsequenced('hello', {}) // What was lost while the connection was gone shows in the answers.
  }

  #resubscribe(): void {
    this.#mustResubscribe = false
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
      this.#call(() => this.#owner.onMessage(packet.message, packet.from))
      return
    }
    if (packet.type === 'other version') {
      this.#reportVersion(packet.from, packet.version)
      return
    }
    if (!this.#isNext(packet)) return
    const { from } = packet
    switch (packet.type) {
      case 'message':
        return this.#call(() => this.#owner.onMessage(packet.message, from))
      case 'notice':
        if (packet.to !== undefined && packet.to !== this.#id) return
        return this.#call(() => this.#owner.onNotice(packet.kind, packet.body, from))
      case 'question':
        if (packet.to === undefined || packet.to === this.#id)
          this.#respond(packet.kind, packet.body, packet.question, from)
        return
      case 'answer':
        if (packet.to !== this.#id) return
        if (packet.failed) this.#requests.failed(packet.question, from)
        else this.#requests.answered(packet.question, from, packet.body)
        return
      case 'hello':
        return this.#sendHeartbeat(this.#starting === undefined)
      case 'heartbeat':
        return this.#onHeartbeat(from, packet.members)
      case 'goodbye':
        this.#members.removePermanently(from)
        this.#left(from, 'goodbye')
    }
  }

  /** Whether a packet is to be handled: it is not when it comes twice or too late. Notices who joins and what is lost. */
  #isNext(packet: MemberPacket): boolean {
    const { from } = packet
    const before = 'sequence' in packet ? packet.sequence - 1 : packet.last
    if (packet.type === 'goodbye' && !this.members.has(from)) {
      this.#members.removePermanently(from)
      return false
    }
    const member = this.#members.get(from) ?? this.#admit(from, before)
    if (member === undefined) return false
    member.heardAt = this.#timers.now()
    if (before > member.position) {
      member.position = before
      this.#call(() => this.#owner.onGap(from))
    }
    if (!('sequence' in packet)) return true
    if (packet.sequence <= member.position) return false
    member.position = packet.sequence
    return true
  }

  /** Once for each broker; of more brokers than there may be no more is said. */
  #reportVersion(id: string, version: number): void {
    if (this.#otherVersions.has(id) || this.#otherVersions.size >= MAXIMUM_MEMBERS) return
    this.#otherVersions.add(id)
    this.#failed(
      new Error(
        `cluster: broker ${JSON.stringify(id)} has version ${version} of the protocol between brokers, this broker has ` +
          `version ${PROTOCOL_VERSION}, so its packets are ignored; run versions of haltere with the same protocol on ` +
          'all brokers that share an emitter',
      ),
    )
  }

  #admit(id: string, before: number): Member | undefined {
    if (this.#members.isGone(id)) return undefined
    // A broker that was there before us begins for us where it is. One that came later began with us listening.
    const start = this.#starting === undefined ? 0 : before
    const member = this.#members.admit(id, start, this.#timers.now())
    if (member !== undefined) this.#call(() => this.#owner.onJoin(id))
    else if (!this.#isFull) {
      this.#isFull = true
      this.#failed(new Error(`cluster: expected at most ${MAXIMUM_MEMBERS} other brokers`))
    }
    return member
  }

  /** Whoever answers a hello says whom it knows; those we then wait for, too. */
  #onHeartbeat(from: string, members: readonly string[] | undefined): void {
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

  #respond(kind: string, body: unknown, question: number, to: string): void {
    const succeed = (answer: unknown): void => {
      if (!this.#isStopped) this.#sendUnsequenced('answer', { to, question, body: copyPlainData(answer) })
    }
    const fail = (error: unknown): void => {
      this.#failed(error)
      if (!this.#isStopped) this.#sendUnsequenced('answer', { to, question, failed: true })
    }
    try {
      const answer = this.#owner.onRequest(kind, body, to)
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
    this.#members.extendDeadlines(late, now)
    this.#resubscribeIfSilent(now, late)
    for (const id of this.#members.silentSince(now - this.#settings.deadAfterMs)) {
      this.#members.removeSilent(id)
      this.#left(id, 'silence')
    }
    if (this.#isStopped) return
    this.#sendHeartbeat(false)
    if (this.#mustResubscribe && !this.#hasHeard) this.#resubscribe()
  }

  /**
   * A broker that does not receive its own packets receives none: that is not the silence of the others. The driver of
   * an emitter may forget to subscribe when it loses a connection that it has just made.
   */
  #resubscribeIfSilent(now: number, late: number): void {
    if (!this.#isListening || !this.#hasHeard) return
    const silence = now - late - this.#heardOwnAt
    if (silence < MAX_MISSED_OWN_HEARTBEATS * this.#settings.heartbeatMs) return
    this.#members.extendDeadlines(silence, now)
    this.#heardOwnAt = now
    this.#hasHeard = false
    this.#resubscribe()
  }

  #sendHeartbeat(asAnswer: boolean): void {
    this.#sendUnsequenced('heartbeat', asAnswer ? { members: [...this.members] } : {})
  }

  #left(id: string, how: 'goodbye' | 'silence'): void {
    this.#call(() => this.#owner.onLeave(id, how))
    this.#requests.left(id)
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
      this.#owner.onError(error instanceof Error ? error : new Error(String(error)))
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
