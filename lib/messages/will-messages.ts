import type { Client } from '../../types/client.ts'
import type { Message as PublicMessage } from '../../types/message.ts'
import type { PersistedWill } from '../../types/persistence.ts'
import { MqttError } from '../errors.ts'
import { type Hooks, isPromise } from '../hooks.ts'
import type { Session, StoredWill } from '../sessions/session.ts'
import type { Timers } from '../timers.ts'
import { Message } from './message.ts'
import { checkRewrittenTopic, type TopicRules } from './published-topic.ts'

export interface WillMessagesContext extends TopicRules {
  readonly timers: Timers
  readonly hooks: Pick<Hooks, 'authorizePublish'>
  readonly router: { publish(message: Message): void }
  readonly sessions: { record(session: Session, expiresAt: number | null): void }
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

  /** The right to publish may have been lost since the Client connected, so it is asked for again; not after a restart. */
  #publish(session: Session, will: StoredWill): void {
    try {
      const permitted =
        will.client === undefined ? will.permitted : this.#context.hooks.authorizePublish(will.message, will.client)
      if (isPromise(permitted)) {
        permitted
          .then((message) => this.#send(session, will, message))
          .catch((error: Error) => this.#failed(session, error))
      } else this.#send(session, will, permitted)
    } catch (error) {
      this.#failed(session, error as Error)
    }
  }

  #send(session: Session, will: StoredWill, permitted: PublicMessage): void {
    checkRewrittenTopic(this.#context, permitted.topic)
    const message = Message.from(permitted, session.clientId, this.#context.timers)
    this.#context.router.publish(message)
    this.#store(session, undefined) // With what it published, or not at all.
    this.#context.notify('published', message, will.client)
  }

  /** A refusal is the application's decision: the Will is not published. */
  #failed(session: Session, error: Error): void {
    this.#store(session, undefined)
    if (!(error instanceof MqttError)) this.#context.reportError(error)
  }

  /** `dueAt` in milliseconds since 1970; undefined while the Client is connected. */
  #store(session: Session, dueAt: number | undefined): void {
    if (!session.isRecorded || session.ended) return
    this.#context.commits?.will(session.clientId, session.will && persistedWill(session.will, dueAt))
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
