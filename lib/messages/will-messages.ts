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

export interface WillMessagesContext extends TopicRules {
  readonly timers: Timers
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
  notify(name: 'published', message: PublicMessage, client: Client | undefined): void
  /** Reports a fault that is not a Client's. */
  reportError(error: Error): void
}

/** When a Will is sent (section 3.1.2.5): after its connection, its delay or its session, whichever of the last two ends first. */
export class WillMessages {
  readonly #context: WillMessagesContext
  readonly #undecided = new Map<Session, UndecidedWill[]>()

  constructor(context: WillMessagesContext) {
    this.#context = context
  }

  /** A connection of the session began, with this Will. */
  connected(session: Session, will: StoredWill | undefined): void {
    session.will = will
    if (will === undefined) return
    if (this.#context.commits !== undefined && !session.isRecorded) {
      session.isRecorded = true // A Will is sent although the process ends [MQTT-3.1.2-8].
      this.#context.sessions.record(session, null)
    }
    this.#store(session, undefined)
  }

  /** The connection ended; `graceful` with a DISCONNECT that takes the Will back [MQTT-3.14.4-3]. */
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

  /** The Will is sent at this time of the broker's clock, or when its session ends. */
  publishAt(session: Session, due: number): void {
    session.willDelay = this.#context.timers.at(due, () => this.sessionEnded(session))
    this.#store(session, this.#context.timers.toWallClock(due))
  }

  /** The Client is back in time [MQTT-3.1.3-9]. */
  sessionResumed(session: Session): void {
    this.#context.timers.cancel(session.willDelay)
    session.willDelay = undefined
    if (session.will === undefined) return
    session.will = undefined
    this.#store(session, undefined)
  }

  /** Nothing to wait for any more. Once sent, the Will is gone [MQTT-3.1.2-10]. */
  sessionEnded(session: Session): void {
    this.#context.timers.cancel(session.willDelay)
    session.willDelay = undefined
    const will = session.will
    session.will = undefined
    if (will !== undefined) this.#publish(session, will)
  }

  /** Behind what its connection left undecided, and before anything of the next connection of its Client. */
  #publish(session: Session, will: StoredWill): void {
    const undecided = new UndecidedWill(this, this.#context.hooks, session, will)
    const others = this.#undecided.get(session)
    if (others === undefined) this.#undecided.set(session, [undecided])
    else others.push(undecided)
    this.#context.predecessors.add(session.clientId, undecided)
  }

  /** Whether a Will of the session is to be published and the application has not decided on it. */
  isUndecided(session: Session): boolean {
    return this.#undecided.has(session)
  }

  /** Another broker will have the session. This one goes on with an undecided Will, which it no longer stores. */
  deleteUndecided(session: Session): void {
    if (session.will === undefined && this.isUndecided(session)) this.#store(session, undefined)
  }

  /** The Client of a former connection of the session took its Will back before its turn came [MQTT-3.14.4-3]. */
  withdraw(session: Session, client: Client): void {
    const undecided = this.#undecided.get(session)?.find((candidate) => candidate.client === client)
    if (undecided === undefined) return
    this.#context.predecessors.remove(session.clientId, undecided)
    this.decided(undecided)
  }

  send(undecided: UndecidedWill, permitted: PublicMessage): void {
    const { router, timers } = this.#context
    checkRewrittenTopic(this.#context, permitted.topic)
    const message = Message.of(permitted, undecided.session.clientId, timers)
    router.publish(new Publication(message))
    this.decided(undecided) // Deleted with what it published, or not at all.
    this.#context.notify('published', message, undecided.client)
  }

  /** A refusal is the application's decision: the Will is not published. */
  failed(undecided: UndecidedWill, error: Error): void {
    this.decided(undecided)
    if (!(error instanceof MqttError)) this.#context.reportError(error)
  }

  /** The Will was published, or will not be; `isStillStored` when that is left to the next start of the broker. */
  decided(undecided: UndecidedWill, isStillStored = false): void {
    const { session } = undecided
    const others = this.#undecided.get(session)?.filter((other) => other !== undecided) ?? []
    if (others.length > 0) this.#undecided.set(session, others)
    else this.#undecided.delete(session)
    if (isStillStored || others.length > 0) return
    if (session.ended) this.#context.sessions.willDecided(session)
    else if (session.will === undefined) this.#store(session, undefined) // Otherwise a later Will is stored.
  }

  /** `dueAt` in milliseconds since 1970; undefined while the Client is connected. */
  #store(session: Session, dueAt: number | undefined): void {
    if (!session.isRecorded || session.ended) return
    this.#context.commits?.will(session.clientId, session.will && persistedWill(session.will, dueAt))
  }
}

/** A Will that is to be published: the right to do so may have been lost since the Client connected, so it is asked for. */
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
      // After a restart there is no Client to ask about.
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

/** Another process has no Client to ask the application about. */
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
