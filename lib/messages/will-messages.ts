import type { Message as PublicMessage } from '../../types/message.ts'
import type { PersistedWill } from '../../types/persistence.ts'
import type { Core } from '../core.ts'
import { MqttError } from '../errors.ts'
import { isPromise } from '../hooks.ts'
import type { Session, StoredWill } from '../sessions/session.ts'
import { Message } from './message.ts'
import { Publication } from './publication.ts'
import { checkRewrittenTopic } from './published-topic.ts'

/** When a Will is sent (section 3.1.2.5): after its connection, its delay or its session, whichever of the last two ends first. */
export class WillMessages {
  readonly #core: Core

  constructor(core: Core) {
    this.#core = core
  }

  /** A connection of the session began, with this Will. */
  connected(session: Session, will: StoredWill | undefined): void {
    session.will = will
    if (will === undefined) return
    if (this.#core.commits !== undefined && !session.isRecorded) {
      session.isRecorded = true // A Will is sent although the process ends [MQTT-3.1.2-8].
      this.#core.sessions.record(session, null)
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
    else this.publishAt(session, this.#core.timers.now() + delay * 1000)
  }

  /** The Will is sent at this time of the broker's clock, or when its session ends. */
  publishAt(session: Session, due: number): void {
    session.willDelay = this.#core.timers.at(due, () => this.sessionEnded(session))
    this.#store(session, this.#core.timers.toWallClock(due))
  }

  /** The Client is back in time [MQTT-3.1.3-9]. */
  sessionResumed(session: Session): void {
    this.#core.timers.cancel(session.willDelay)
    session.willDelay = undefined
    if (session.will === undefined) return
    session.will = undefined
    this.#store(session, undefined)
  }

  /** Nothing to wait for any more. Once sent, the Will is gone [MQTT-3.1.2-10]. */
  sessionEnded(session: Session): void {
    this.#core.timers.cancel(session.willDelay)
    session.willDelay = undefined
    const will = session.will
    session.will = undefined
    if (will !== undefined) this.#publish(session, will)
  }

  /** The right to publish may have been lost since the Client connected, so it is asked for again; not after a restart. */
  #publish(session: Session, will: StoredWill): void {
    try {
      const permitted =
        will.client === undefined ? will.permitted : this.#core.hooks.authorizePublish(will.message, will.client)
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
    checkRewrittenTopic(this.#core, permitted.topic)
    const message = Message.of(permitted, session.clientId, this.#core.timers)
    this.#core.router.publish(new Publication(message))
    this.#store(session, undefined) // With what it published, or not at all.
    this.#core.notify('published', message, will.client)
  }

  /** A refusal is the application's decision: the Will is not published. */
  #failed(session: Session, error: Error): void {
    this.#store(session, undefined)
    if (!(error instanceof MqttError)) this.#core.reportError(error)
  }

  /** `dueAt` in milliseconds since 1970; undefined while the Client is connected. */
  #store(session: Session, dueAt: number | undefined): void {
    if (!session.isRecorded || session.ended) return
    this.#core.commits?.will(session.clientId, session.will && persistedWill(session.will, dueAt))
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
