import type { Client } from '../../types/client.ts'
import type { Message as PublicMessage } from '../../types/message.ts'
import type { PersistedWill } from '../../types/persistence.ts'
import { MqttError } from '../errors.ts'
import type { Hooks } from '../hooks.ts'
import type { AskingClient } from '../plugin-calls.ts'
import { isPromise } from '../promises.ts'
import type { Predecessors, Undecided } from '../sessions/predecessors.ts'
import type { Session, StoredWill } from '../sessions/session.ts'
import type { Timers } from '../timers.ts'
import { Message } from './message.ts'
import { Publication } from './publication.ts'
import { checkRewrittenTopic, type TopicRules } from './published-topic.ts'

interface WillMessagesContext extends TopicRules {
  readonly timers: Timers
  readonly statistics: { publishRefused: number }
  readonly hooks: Pick<Hooks, 'authorizePublish'>
  readonly router: { publish(publication: Publication): void }
  readonly predecessors: Pick<Predecessors, 'add' | 'remove'>
  readonly sessions: {
    record(session: Session, expiresAt: number | null): void
    willDecided(session: Session): void
  }
  readonly commits:
    | (TopicRules['commits'] & { will(clientId: string, will: PersistedWill | undefined): void })
    | undefined
  notify(name: 'published', message: PublicMessage, client: Client | undefined, isWill: true): void
  /** Reports an error that no Client has caused. */
  reportError(error: Error): void
}

/** Publishes Wills (section 3.1.2.5): after the connection, when the Will Delay Interval or the session ends. */
export class WillMessages {
  readonly #context: WillMessagesContext
  readonly #undecided = new Map<Session, UndecidedWill[]>()

  constructor(context: WillMessagesContext) {
    this.#context = context
  }

  /** A connection of the session starts, with this Will. */
  connected(session: Session, will: StoredWill | undefined): void {
    session.will = will
    if (will === undefined) return
    if (this.#context.commits !== undefined && !session.isRecorded) {
      session.isRecorded = true // A Will is published although the process ends [MQTT-3.1.2-8].
      this.#context.sessions.record(session, null)
    }
    this.#store(session, undefined)
  }

  /** The connection ended; `graceful` with a DISCONNECT that removes the Will [MQTT-3.14.4-3]. */
  connectionEnded(session: Session, graceful: boolean): void {
    const will = session.will
    if (will === undefined) return
    if (graceful) {
      session.will = undefined
      this.#store(session, undefined)
      return
    }
    const delay = Math.min(will.delay, session.expiryInterval)
    if (delay === 0) this.sessionEnded(session)
    else this.publishAt(session, this.#context.timers.now() + delay * 1000)
  }

  /** Publishes the Will at this time of the broker's clock, or when its session ends. */
  publishAt(session: Session, due: number): void {
    session.willDelay = this.#context.timers.at(due, () => this.sessionEnded(session))
    this.#store(session, this.#context.timers.toWallClock(due))
  }

  /** The Client reconnected within the Will Delay Interval [MQTT-3.1.3-9]. */
  sessionResumed(session: Session): void {
    this.#context.timers.cancel(session.willDelay)
    session.willDelay = undefined
    if (session.will === undefined) return
    session.will = undefined
    this.#store(session, undefined)
  }

  /** Publishes the Will now, and removes it from the session [MQTT-3.1.2-10]. */
  sessionEnded(session: Session): void {
    this.#context.timers.cancel(session.willDelay)
    session.willDelay = undefined
    const will = session.will
    session.will = undefined
    if (will !== undefined) this.#publish(session, will)
  }

  /** After the last packets of its connection, and before the packets of the next connection. */
  #publish(session: Session, will: StoredWill): void {
    const undecided = new UndecidedWill(this, this.#context.hooks, session, will)
    const others = this.#undecided.get(session)
    if (others === undefined) this.#undecided.set(session, [undecided])
    else others.push(undecided)
    this.#context.predecessors.add(session.clientId, undecided)
  }

  /** Whether the application has not decided on a Will of the session. */
  isUndecided(session: Session): boolean {
    return this.#undecided.has(session)
  }

  /** A peer will have the session. This broker decides on an undecided Will, which is no longer stored. */
  deleteUndecided(session: Session): void {
    if (session.will === undefined && this.isUndecided(session)) this.#store(session, undefined)
  }

  /** A DISCONNECT among the last packets of an ended connection removes its Will [MQTT-3.14.4-3]. */
  withdraw(session: Session, client: Client): void {
    const undecided = this.#undecided.get(session)?.find((candidate) => candidate.client === client)
    if (undecided === undefined) return
    this.#context.predecessors.remove(session.clientId, undecided)
    this.decided(undecided)
  }

  send(undecided: UndecidedWill, permitted: PublicMessage): void {
    const { router, timers } = this.#context
    checkRewrittenTopic(this.#context, permitted.topic, undecided.session.clientId)
    const message = Message.of(permitted, undecided.session.clientId, timers)
    router.publish(new Publication(message))
    this.decided(undecided) // In the same commit as the publication.
    this.#context.notify('published', message, undecided.client, true)
  }

  /** The hook refused or failed: the Will is not published. */
  failed(undecided: UndecidedWill, error: Error): void {
    this.decided(undecided)
    this.#context.statistics.publishRefused += 1
    if (!(error instanceof MqttError)) this.#context.reportError(error)
  }

  /** The Will is published or dropped. `isStillStored` if the next start of the broker publishes it. */
  decided(undecided: UndecidedWill, isStillStored = false): void {
    const { session } = undecided
    const others = this.#undecided.get(session)?.filter((other) => other !== undecided) ?? []
    if (others.length > 0) this.#undecided.set(session, others)
    else this.#undecided.delete(session)
    if (isStillStored || others.length > 0) return
    if (session.ended) this.#context.sessions.willDecided(session)
    else if (session.will === undefined) this.#store(session, undefined) // Otherwise the storage has a later Will.
  }

  /** `dueAt` in milliseconds since 1970; undefined while the Client is connected. */
  #store(session: Session, dueAt: number | undefined): void {
    if (!session.isRecorded || session.ended) return
    this.#context.commits?.will(session.clientId, session.will && persistedWill(session.will, dueAt))
  }
}

/** A Will before its publication. It is authorized again, because the permission may have changed since CONNECT. */
class UndecidedWill implements Undecided {
  readonly client: AskingClient | undefined
  readonly session: Session
  readonly #wills: WillMessages
  readonly #hooks: Pick<Hooks, 'authorizePublish'>
  readonly #will: StoredWill
  #isDropped = false

  constructor(wills: WillMessages, hooks: Pick<Hooks, 'authorizePublish'>, session: Session, will: StoredWill) {
    this.client = will.client
    this.#wills = wills
    this.#hooks = hooks
    this.session = session
    this.#will = will
  }

  begin(decided: () => void): void {
    const { message, permitted } = this.#will
    try {
      // After a restart there is no Client to pass to the hook.
      const answer = this.client === undefined ? permitted : this.#hooks.authorizePublish(message, this.client)
      if (isPromise(answer)) void this.#wait(answer).then(decided)
      else {
        this.#wills.send(this, answer)
        decided()
      }
    } catch (error) {
      this.#wills.failed(this, error as Error)
      decided()
    }
  }

  async #wait(answer: Promise<PublicMessage>): Promise<void> {
    try {
      const permitted = await answer
      if (!this.#isDropped) this.#wills.send(this, permitted)
    } catch (error) {
      if (!this.#isDropped) this.#wills.failed(this, error as Error)
    }
  }

  limit(): void {
    if (this.client !== undefined) this.client.hookTime = 'together'
  }

  drop(isClosing: boolean): string {
    this.#isDropped = true
    if (this.client !== undefined) this.client.hookTime = 'over'
    this.#wills.decided(this, isClosing)
    return 'the Will'
  }
}

/** The stored form. It has the permitted message, because another process has no Client to pass to the hook. */
function persistedWill({ permitted, delay }: StoredWill, dueAt: number | undefined): PersistedWill {
  const { topic, payload, qos, retain, properties } = permitted
  return {
    topic,
    payload,
    qos,
    retain,
    properties: delay === 0 ? properties : { ...properties, willDelayInterval: delay },
    ...(dueAt !== undefined && { dueAt }),
  }
}
