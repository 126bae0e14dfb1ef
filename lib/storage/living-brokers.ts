import { hostname } from 'node:os'
import type { PersistedSubscription } from '../../types/persistence.ts'
import type { Timer, Timers } from '../timers.ts'
import { closedError } from '../lifecycle.ts'
import type { CommitQueue } from './commit-queue.ts'

/** A record of each broker that uses a shared store. No Client has this identifier, because of the U+0000 [MQTT-1.5.4-2]. */
export const LIVING_BROKERS = '\0haltere/brokers'

// Milliseconds between two writes of a record.
const BEAT_MS = 2000
// Milliseconds for which the record of another broker is watched: it counts as alive if the record changes.
const WATCH_MS = 5000
const MAX_BEAT = 268_435_455
const NEVER_EXPIRES = 0xffff_ffff

interface Environment {
  readonly bootId: string
  /** Whether it has an emitter, by which brokers that share a store agree. */
  readonly hasEmitter: boolean
  readonly timers: Timers
}

/** A broker as the store has it. */
interface Other {
  readonly bootId: string
  readonly host: string
  readonly pid: number
  readonly hasEmitter: boolean
  readonly isRunning: boolean
  /** Changes with every write. */
  readonly beat: number
  readonly topic: string
}

/** The brokers of this process that use a shared store now. */
const ofThisProcess = new Set<string>()

/**
 * The brokers that use a shared store. Without an emitter they know nothing of each other: each would restore the sessions of
 * all and publish the Wills of Clients that are connected to another one. So a broker does not start while such a one
 * lives. Each writes a record every two seconds; the record of one that was killed stays, and does not change.
 */
export class LivingBrokers {
  readonly #environment: Environment
  readonly #commits: CommitQueue
  readonly #topic: string
  #beat = 0
  #isRunning = false
  #timer: Timer | undefined
  #isStopped = false
  #wake: () => void = () => undefined

  constructor(environment: Environment, commits: CommitQueue) {
    const { bootId, hasEmitter } = environment
    this.#environment = environment
    this.#commits = commits
    this.#topic = [bootId, encodeURIComponent(hostname()), process.pid, hasEmitter ? 'emitter' : 'alone'].join('/')
  }

  /** Rejects if a broker lives that uses the same store but has no emitter in common with it. */
  async start(): Promise<void> {
    const { bootId } = this.#environment
    ofThisProcess.add(bootId)
    this.#commits.session(LIVING_BROKERS, { expiryInterval: NEVER_EXPIRES, expiresAt: null })
    this.#write()
    await this.#commits.flushed()
    const others = await this.#read()
    const suspects = others.filter((other) => this.#isSuspect(other))
    const living = suspects.length === 0 ? undefined : await this.#watch(suspects)
    if (living !== undefined) {
      const { host, pid } = living
      throw new Error(
        `another broker uses this store: process ${pid} on ${host}, and ` +
          `${living.hasEmitter ? 'this one has no emitter' : 'it has no emitter'}; ` +
          'give an emitter in common to all brokers with one store, or a store of its own to each',
      )
    }
    if (this.#isStopped) throw closedError() // Nothing may be restored.
    for (const { topic } of suspects) this.#commits.unsubscribe(LIVING_BROKERS, topic) // It has ended.
    this.#isRunning = true
    this.#write()
  }

  /** Removes the record. */
  stop(): void {
    if (this.#isStopped) return
    this.#isStopped = true
    ofThisProcess.delete(this.#environment.bootId)
    this.#environment.timers.cancel(this.#timer)
    this.#wake()
    if (this.#beat > 0) this.#commits.unsubscribe(LIVING_BROKERS, this.#topic)
  }

  #write(): void {
    if (this.#isStopped) return
    this.#beat = this.#beat === MAX_BEAT ? 1 : this.#beat + 1
    const record: PersistedSubscription = {
      topic: this.#topic,
      qos: 1,
      rh: 0,
      rap: this.#isRunning,
      nl: false,
      subscriptionIdentifier: this.#beat,
    }
    this.#commits.subscribe(LIVING_BROKERS, record)
    this.#environment.timers.cancel(this.#timer)
    this.#timer = this.#environment.timers.after(BEAT_MS, () => this.#write())
  }

  async #read(): Promise<Other[]> {
    const stored = await this.#commits.storage.readSession(LIVING_BROKERS)
    return (stored?.subscriptions ?? []).flatMap(({ topic, rap, subscriptionIdentifier }) => {
      const [bootId = '', host = '', pid = '', kind] = topic.split('/')
      if (topic === this.#topic) return []
      const fields = { bootId, host: decodeURIComponent(host), pid: Number(pid), hasEmitter: kind === 'emitter' }
      return [{ ...fields, isRunning: rap === true, beat: subscriptionIdentifier ?? 0, topic }]
    })
  }

  /** Whether it may be alive, and must not be. Of two that start at once the later one gives way. */
  #isSuspect({ bootId, host, pid, hasEmitter, isRunning }: Other): boolean {
    if (hasEmitter && this.#environment.hasEmitter) return false // They agree by messages.
    if (!isRunning && bootId > this.#environment.bootId) return false
    return host !== hostname() || (pid === process.pid ? ofThisProcess.has(bootId) : isAlive(pid))
  }

  /** Waits for a change of a record. Returns its broker; undefined when there was none in time. */
  async #watch(suspects: readonly Other[]): Promise<Other | undefined> {
    const { timers } = this.#environment
    const ofProcess = suspects.find(({ host, pid }) => host === hostname() && pid === process.pid)
    if (ofProcess !== undefined) return ofProcess // It is known to be alive.
    await new Promise<void>((resolve) => {
      this.#wake = resolve
      timers.after(WATCH_MS, resolve)
    })
    if (this.#isStopped) return undefined
    const now = await this.#read()
    return suspects.find(({ topic, beat }) => now.some((other) => other.topic === topic && other.beat !== beat))
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
