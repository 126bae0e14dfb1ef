import type { Core } from '../core.ts'
import { MqttError } from '../errors.ts'
import { isPromise } from '../hooks.ts'
import type { Session, StoredWill } from '../sessions/session.ts'
import { Message } from './message.ts'
import { checkRewrittenTopic } from './published-topic.ts'
import type { Message as PublicMessage } from '../../types/message.ts'

/** When a Will is sent (section 3.1.2.5): after its connection, its delay or its session, whichever of the last two ends first. */
export class WillMessages {
  readonly #core: Core

  constructor(core: Core) {
    this.#core = core
  }

  /** The connection ended; `graceful` with a DISCONNECT that takes the Will back [MQTT-3.14.4-3]. */
  connectionEnded(session: Session, graceful: boolean): void {
    const will = session.will
    if (will === undefined) return
    if (graceful) {
      session.will = undefined
      return
    }
    const delay = Math.min(will.delay, session.expiryInterval)
    if (delay === 0) this.sessionEnded(session)
    else session.willDelay = this.#core.timers.after(delay * 1000, () => this.sessionEnded(session))
  }

  /** The Client is back in time [MQTT-3.1.3-9]. */
  sessionResumed(session: Session): void {
    this.#core.timers.cancel(session.willDelay)
    session.willDelay = undefined
    session.will = undefined
  }

  /** Nothing to wait for any more. Once sent, the Will is gone [MQTT-3.1.2-10]. */
  sessionEnded(session: Session): void {
    this.#core.timers.cancel(session.willDelay)
    session.willDelay = undefined
    const will = session.will
    session.will = undefined
    if (will !== undefined) this.#publish(will)
  }

  /** The right to publish may have been lost since the Client connected, so it is asked for again. */
  #publish(will: StoredWill): void {
    try {
      const permitted = this.#core.hooks.authorizePublish(will.message, will.client)
      if (isPromise(permitted)) {
        permitted.then((message) => this.#send(will, message)).catch((error: Error) => this.#failed(error))
      } else this.#send(will, permitted)
    } catch (error) {
      this.#failed(error as Error)
    }
  }

  #send(will: StoredWill, permitted: PublicMessage): void {
    checkRewrittenTopic(this.#core, permitted.topic)
    const message = Message.from(permitted, will.client.id, this.#core.timers)
    this.#core.router.publish(message)
    this.#core.notify('published', message, will.client)
  }

  /** A refusal is the application's decision: the Will is not published. */
  #failed(error: Error): void {
    if (!(error instanceof MqttError)) this.#core.reportError(error)
  }
}
