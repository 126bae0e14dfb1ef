import type { Emitter, EmitterListener, EmitterMessage } from '../../types/emitter.ts'
import type { Timer, Timers } from '../timers.ts'
import { Reconnects } from './emitters/index.ts'
import {
  isFrom,
  type ClusterPacket,
  controlOnEmitter,
  MAX_MEMBERS,
  type MemberPacket,
  messageOnEmitter,
  PROTOCOL_VERSION,
  readClusterPacket,
} from './protocol.ts'
import { type Member, MemberTable } from './member-table.ts'
import { Outbox } from './outbox.ts'
import { copyPlainData } from './plain-data.ts'
import { type Responses, PendingRequests } from './pending-requests.ts'

/** Receives what other brokers send. An error that one of these throws is given to `onError`. */
export interface MembershipListener {
  /** A message of another broker, in the order of that broker, never twice. Fields without a value are absent. */
  onMessage(message: EmitterMessage, from: string): void
  /** A message of a program that is not haltere, without an order. Fields without a value are absent. */
  onForeignMessage(message: EmitterMessage): void
  /** A notice from another broker, in one order with its messages. */
  onNotice(kind: string, body: unknown, from: string): void
  /** A request from another broker. Returns the response, or a promise of it; an error is a failed response. */
  onRequest(kind: string, body: unknown, from: string): unknown
  /** Messages or notices of that broker were lost on the way. Called once per gap, before what comes after it. */
  onGap(from: string): void
  /** This broker may have lost packets of any broker. Called before what comes after them; gaps are found later. */
  onInterruption(): void
  onJoin(id: string): void
  /** The broker left, or was silent for so long that it counts as dead; if it was not, it joins again. */
  onLeave(id: string, how: 'leave' | 'silence'): void
  /** The emitter does not work (called once until it works again), or one of these functions threw an error. */
  onError(error: Error): void
}

export interface MembershipSettings {
  /** Milliseconds between two heartbeats. Default: 1,000. */
  readonly heartbeatMs: number
  /** Milliseconds without a packet after which a broker counts as dead. Default: 5,000. */
  readonly deadAfterMs: number
}

// After so many own heartbeats that do not come back, this broker subscribes again.
const MAX_MISSED_OWN_HEARTBEATS = 3

/**
 * The brokers that share one emitter: their messages, notices and requests. The emitter delivers at most once. This
 * class reports losses and keeps the packets of each broker in order; it cannot bring back a lost packet.
 *
 * ```text
 *              ┌────────────── a packet ◀──────────────┐
 *              ▼                                       │
 * unknown ─▶ member ─ nothing for deadAfterMs ─▶ left (silence)
 *              └───── leave ───────────────────▶ left for good: a broker that starts again has a new id
 * ```
 */
export class Membership {
  /** Ids of the other brokers that are alive. */
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
  /** The latest place in the order of this broker. */
  #sequence = 0
  #beatTimer: Timer | undefined
  #started: Promise<void> | undefined
  /** Set until the brokers that were there first are known. */
  #starting: { readonly expected: Set<string>; hasResponse: boolean; readonly done: () => void } | undefined
  #isListening = false
  /** A packet came since the last subscribing, at least one of this broker. */
  #hasReceived = false
  /** The time of the last own packet that came back. */
  #receivedOwnAt = 0
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

  /** `failing` while no packet of this broker comes back, so that none of the others comes either. */
  get state(): 'joining' | 'joined' | 'failing' {
    const silence = this.#timers.now() - this.#receivedOwnAt
    if (this.#starting !== undefined) return 'joining'
    const isSilent = silence > (MAX_MISSED_OWN_HEARTBEATS + 1) * this.#settings.heartbeatMs
    return this.#isStopped || !this.#isListening || isSilent ? 'failing' : 'joined'
  }

  /** Joins the others; resolves when all of them have responded, or after two heartbeats. */
  start(): Promise<void> {
    this.#started ??= this.#start()
    return this.#started
  }

  /** Gives messages to the other brokers, in this order. */
  publish(messages: readonly EmitterMessage[]): void {
    for (const message of messages) {
      if (this.#isStopped) return
      const packet = messageOnEmitter(message, this.#id, this.#sequence + 1)
      this.#sequence += 1
      this.#outbox.send(packet)
    }
  }

  /** Notifies all other brokers. The body is plain data: the types of JSON, and Buffers. */
  broadcast(kind: string, body: unknown): void {
    if (!this.#isStopped) this.#sendSequenced('notice', { kind, body: copyPlainData(body) })
  }

  /** Notifies one broker. All receive the packet, so that none finds a gap; the others ignore it. */
  send(to: string, kind: string, body: unknown): void {
    if (!this.#isStopped) this.#sendSequenced('notice', { kind, body: copyPlainData(body), to })
  }

  /** Asks all other brokers, or one, and waits for the responses of those that are alive now. */
  async request(kind: string, body: unknown, options: { timeoutMs: number; to?: string }): Promise<Responses> {
    const { to, timeoutMs } = options
    if (to !== undefined && !this.members.has(to)) return { responses: new Map(), timedOut: [to] }
    if (this.#isStopped || this.members.size === 0) return { responses: new Map(), timedOut: [] }
    const copied = copyPlainData(body)
    return this.#requests.ask(to === undefined ? this.members : [to], timeoutMs, (number) => {
      this.#sendSequenced('request', { kind, body: copied, request: number, ...(to !== undefined && { to }) })
    })
  }

  /** Leaves the others and listens no more. The emitter stays open. */
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
    await this.#within(this.#settings.heartbeatMs, (done) => this.#sendUnsequenced('leave', {}, done))
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
      this.#starting = { expected: new Set(), hasResponse: false, done }
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
        if (!this.#isStopped) this.#sendUnsequenced('join', {})
      })
    } catch (error) {
      this.#outbox.failed(error)
    }
  }

  readonly #reconnected = (): void => {
    // The emitter may call back although subscribing failed, because its server was away for long. Subscribing again
    // must wait: the connection is not ready for it yet.
    this.#mustResubscribe = this.#isListening && !this.#hasReceived
    this.#call(() => this.#owner.onInterruption())
    this.#sendUnsequenced('join', {}) // The responses show what was lost without the connection.
  }

  #resubscribe(): void {
    this.#mustResubscribe = false
    this.#call(() => this.#owner.onInterruption())
    this.#isListening = false
    this.#emitter.removeListener('#', this.#listener)
    // An mqemitter removes the listener in `setImmediate`.
    setImmediate(() => {
      if (!this.#isStopped) this.#listen()
    })
  }

  // Declared with both parameters: mqemitter gives a function of one parameter something else.
  readonly #listener: EmitterListener = (received, done) => {
    this.#hasReceived = true // At least an own packet.
    if (!this.#isStopped) {
      if (isFrom(received, this.#id)) this.#receivedOwnAt = this.#timers.now()
      const packet = readClusterPacket(received, this.#id)
      if (packet !== undefined) this.#handle(packet)
    }
    done() // Last: an emitter with a limit of concurrency delivers the next packet within this call.
  }

  #handle(packet: ClusterPacket): void {
    if (packet.type === 'foreign message') {
      this.#call(() => this.#owner.onForeignMessage(packet.message))
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
      case 'request':
        if (packet.to === undefined || packet.to === this.#id)
          this.#respond(packet.kind, packet.body, packet.request, from)
        return
      case 'response':
        if (packet.to !== this.#id) return
        if (packet.failed) this.#requests.failed(packet.request, from)
        else this.#requests.responded(packet.request, from, packet.body)
        return
      case 'join':
        return this.#sendHeartbeat(this.#starting === undefined)
      case 'heartbeat':
        return this.#onHeartbeat(from, packet.members)
      case 'leave':
        this.#members.removePermanently(from)
        this.#left(from, 'leave')
    }
  }

  /** Returns false for a packet that comes twice or too late. Notices new members and lost packets. */
  #isNext(packet: MemberPacket): boolean {
    const { from } = packet
    const before = 'sequence' in packet ? packet.sequence - 1 : packet.last
    if (packet.type === 'leave' && !this.members.has(from)) {
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

  /** Reports each broker once, and no more brokers than a cluster can have. */
  #reportVersion(id: string, version: number): void {
    if (this.#otherVersions.has(id) || this.#otherVersions.size >= MAX_MEMBERS) return
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
    if (this.#members.hasLeft(id)) return undefined
    // The packets of a broker that was there first count from its present place, those of a later one from its first.
    const start = this.#starting === undefined ? 0 : before
    const member = this.#members.admit(id, start, this.#timers.now())
    if (member !== undefined) this.#call(() => this.#owner.onJoin(id))
    else if (!this.#isFull) {
      this.#isFull = true
      this.#failed(new Error(`cluster: expected at most ${MAX_MEMBERS} other brokers`))
    }
    return member
  }

  /** The response to a join names the members that its sender knows; the start waits for those, too. */
  #onHeartbeat(from: string, members: readonly string[] | undefined): void {
    const starting = this.#starting
    if (starting === undefined) return
    if (members !== undefined) {
      starting.hasResponse = true
      for (const id of members) if (id !== this.#id && !this.#members.hasLeft(id)) starting.expected.add(id)
    }
    for (const id of starting.expected) if (this.members.has(id)) starting.expected.delete(id)
    starting.expected.delete(from)
    if (starting.hasResponse && starting.expected.size === 0) starting.done()
  }

  #respond(kind: string, body: unknown, request: number, to: string): void {
    const succeed = (response: unknown): void => {
      if (!this.#isStopped) this.#sendUnsequenced('response', { to, request, body: copyPlainData(response) })
    }
    const fail = (error: unknown): void => {
      this.#failed(error)
      if (!this.#isStopped) this.#sendUnsequenced('response', { to, request, failed: true })
    }
    try {
      const response = this.#owner.onRequest(kind, body, to)
      if (response instanceof Promise) response.then(succeed).catch(fail)
      else succeed(response)
    } catch (error) {
      fail(error)
    }
  }

  readonly #beat = (): void => {
    const now = this.#timers.now()
    const delay = now - (this.#beatTimer?.due ?? now)
    this.#beatTimer = this.#timers.after(this.#settings.heartbeatMs, this.#beat)
    // If the process stood still, the packets of the others are still to be read.
    this.#members.extendDeadlines(delay, now)
    this.#resubscribeIfSilent(now, delay)
    for (const id of this.#members.silentSince(now - this.#settings.deadAfterMs)) {
      this.#members.removeSilent(id)
      this.#left(id, 'silence')
    }
    if (this.#isStopped) return
    this.#sendHeartbeat(false)
    if (this.#mustResubscribe && !this.#hasReceived) this.#resubscribe()
  }

  /**
   * A broker that does not receive its own packets receives none, so the others are not to blame. The driver of an
   * emitter may forget to subscribe when it loses a new connection.
   */
  #resubscribeIfSilent(now: number, delay: number): void {
    if (!this.#isListening || !this.#hasReceived) return
    const silence = now - delay - this.#receivedOwnAt
    if (silence < MAX_MISSED_OWN_HEARTBEATS * this.#settings.heartbeatMs) return
    this.#members.extendDeadlines(silence, now)
    this.#receivedOwnAt = now
    this.#hasReceived = false
    this.#resubscribe()
  }

  #sendHeartbeat(isResponse: boolean): void {
    this.#sendUnsequenced('heartbeat', isResponse ? { members: [...this.members] } : {})
  }

  #left(id: string, how: 'leave' | 'silence'): void {
    this.#call(() => this.#owner.onLeave(id, how))
    this.#requests.left(id)
  }

  #sendSequenced(type: 'notice' | 'request', fields: Record<string, unknown>): void {
    this.#sequence += 1
    this.#outbox.send(controlOnEmitter(type, this.#id, { ...fields, sequence: this.#sequence }))
  }

  #sendUnsequenced(
    type: 'join' | 'heartbeat' | 'response' | 'leave',
    fields: Record<string, unknown>,
    onTaken?: () => void,
  ): void {
    this.#outbox.send(controlOnEmitter(type, this.#id, { ...fields, last: this.#sequence }), onTaken)
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
      // There is no other place to report it.
    }
  }

  /** Waits until `run` calls `done`, at most for these milliseconds. */
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
