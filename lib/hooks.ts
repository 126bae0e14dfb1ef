import type { AuthenticationExchange, Client, ConnectRequest } from '../types/client.ts'
import type { ConnectionInfo } from '../types/connection-info.ts'
import type { MaybePromise, Plugin, ReauthenticateAnswer } from '../types/hooks.ts'
import type { Message } from '../types/message.ts'
import type { Subscription } from '../types/subscription.ts'
import { MqttError } from './errors.ts'
import { faultIn, faultInMessageProperties } from './packets/properties.ts'
import type { Timers } from './timers.ts'
import { isValidTopicName } from './topics/topic-name.ts'

type AnyPlugin = Plugin<never>
type HookName = Exclude<keyof AnyPlugin, 'name' | 'setup'>
/** A hook with its plugin's name in front, for the error that names it. */
interface Hook {
  readonly plugin: AnyPlugin
  readonly name: HookName
}
/** The Client that a hook is asked about. */
export interface AskingClient extends Client {
  /**
   * A hook has a time limit of its own (`each`); the connection has ended and all that it left has one time limit
   * `together`; or that is `over`, and what a hook still returns has no effect.
   */
  hookTime?: 'each' | 'together' | 'over'
}
type Ask<Answer> = (plugin: AnyPlugin) => MaybePromise<Answer | undefined | void>

export function isPromise(value: unknown): value is Promise<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as Partial<Promise<unknown>>).then === 'function'
}

/**
 * Asks the application. One array per hook, made when plugins are added, so that a hook nobody has costs one
 * comparison; an answer that is there at once is used at once.
 */
export class Hooks {
  readonly #timers: Timers
  readonly #timeoutMs: number
  readonly #report: (error: Error) => void
  readonly #connect: Hook[] = []
  readonly #authenticate: Hook[] = []
  readonly #reauthenticate: Hook[] = []
  readonly #authorizePublish: Hook[] = []
  readonly #authorizeSubscribe: Hook[] = []
  readonly #authorizeDeliver: Hook[] = []
  readonly #inspect: Hook[] = []

  constructor(timers: Timers, timeoutMs: number, report: (error: Error) => void) {
    this.#timers = timers
    this.#timeoutMs = timeoutMs
    this.#report = report
  }

  add(plugin: AnyPlugin): void {
    if (plugin.connect) this.#connect.push({ plugin, name: 'connect' })
    if (plugin.authenticate) this.#authenticate.push({ plugin, name: 'authenticate' })
    if (plugin.reauthenticate) this.#reauthenticate.push({ plugin, name: 'reauthenticate' })
    if (plugin.authorizePublish) this.#authorizePublish.push({ plugin, name: 'authorizePublish' })
    if (plugin.authorizeSubscribe) this.#authorizeSubscribe.push({ plugin, name: 'authorizeSubscribe' })
    if (plugin.authorizeDeliver) this.#authorizeDeliver.push({ plugin, name: 'authorizeDeliver' })
    if (plugin.inspect) this.#inspect.push({ plugin, name: 'inspect' })
  }

  get canConnect(): boolean {
    return this.#connect.length > 0
  }
  get canAuthenticate(): boolean {
    return this.#authenticate.length > 0
  }
  get canReauthenticate(): boolean {
    return this.#reauthenticate.length > 0
  }
  get checksPublish(): boolean {
    return this.#authorizePublish.length > 0 || this.#inspect.length > 0
  }
  get checksSubscribe(): boolean {
    return this.#authorizeSubscribe.length > 0
  }
  get checksDeliver(): boolean {
    return this.#authorizeDeliver.length > 0
  }

  /** Rejects with an `MqttError` unless every plugin lets the connection in. */
  async connect(info: ConnectionInfo, gone: AbortSignal): Promise<void> {
    const abort = following(gone)
    const ask: Ask<boolean> = (plugin) => this.#everyButFalse(plugin.connect?.(info, abort.signal))
    const answer = await this.#first<boolean>(this.#connect, ask, abort)
    if (answer === false) throw new MqttError('not-authorized', 'connection refused')
  }

  // A connect hook that says yes has only said that it does not mind: all of them are asked.
  #everyButFalse(answer: MaybePromise<boolean | void>): MaybePromise<boolean | undefined> {
    if (isPromise(answer)) return answer.then((value) => this.#everyButFalse(value))
    if (answer === false) return false
    if (answer === true || answer === undefined) return undefined
    throw new TypeError(`connect answered ${typeof answer}, which is neither a boolean nor nothing`)
  }

  /** What the application calls this Client; undefined when no plugin knows it, false when one refuses it. */
  async authenticate(
    request: ConnectRequest,
    info: ConnectionInfo,
    gone: AbortSignal,
    authentication: AuthenticationExchange,
  ): Promise<unknown> {
    const abort = following(gone)
    return this.#first<unknown>(
      this.#authenticate,
      (plugin) => plugin.authenticate?.(request, info, abort.signal, authentication),
      abort,
    )
  }

  async reauthenticate(
    step: AuthenticationExchange,
    client: Client,
  ): Promise<ReauthenticateAnswer<unknown> | false | undefined> {
    const abort = following(client.signal)
    const answer = await this.#first<ReauthenticateAnswer<unknown> | false>(
      this.#reauthenticate,
      (plugin) => plugin.reauthenticate?.(step, client as Client<never>, abort.signal),
      abort,
    )
    if (answer === undefined || answer === false || typeof answer?.done === 'boolean') return answer
    this.#report(new TypeError('reauthenticate answered neither false nor an object with `done`'))
    throw new MqttError('unspecified')
  }

  /** The message to publish: this one, or the one that takes its place. Throws an `MqttError` when it may not be. */
  authorizePublish(message: Message, client: AskingClient): MaybePromise<Message> {
    if (this.#authorizePublish.length === 0) return this.#inspected(message, client)
    const ask: Ask<boolean | Message> = (plugin) => plugin.authorizePublish?.(message, client as Client<never>)
    const answer = this.#first<boolean | Message>(this.#authorizePublish, ask, undefined, client)
    if (isPromise(answer)) {
      return answer.then((value) =>
        this.#inspected(this.#allowed(message, value, 'authorizePublish', isMessage), client),
      )
    }
    return this.#inspected(this.#allowed(message, answer, 'authorizePublish', isMessage), client)
  }

  #inspected(message: Message, client: AskingClient): MaybePromise<Message> {
    if (this.#inspect.length === 0) return message
    const ask: Ask<never> = (plugin) => {
      const seen = plugin.inspect?.(message, client as Client<never>)
      return isPromise(seen) ? seen.then(() => undefined) : undefined // All of them look.
    }
    const answer = this.#first<never>(this.#inspect, ask, undefined, client)
    return isPromise(answer) ? answer.then(() => message) : message
  }

  /** The subscription to make: this one, or the one that takes its place. Throws an `MqttError` when it may not be. */
  authorizeSubscribe(subscription: Subscription, client: Client): MaybePromise<Subscription> {
    if (this.#authorizeSubscribe.length === 0) return subscription
    const answer = this.#first<boolean | Subscription>(this.#authorizeSubscribe, (plugin) =>
      plugin.authorizeSubscribe?.(subscription, client as Client<never>),
    )
    const allowed = (value: unknown): Subscription =>
      this.#allowed(subscription, value as boolean | Subscription | undefined, 'authorizeSubscribe', isSubscription)
    return isPromise(answer) ? answer.then(allowed) : allowed(answer)
  }

  /** The message to send, or undefined when this Client may not have it. */
  authorizeDeliver(message: Message, client: Client): Message | undefined {
    for (const hook of this.#authorizeDeliver) {
      try {
        const answer = hook.plugin.authorizeDeliver?.(message, client as Client<never>)
        if (answer === undefined) continue
        if (isPromise(answer)) {
          answer.then(undefined, () => undefined)
          throw new TypeError('authorizeDeliver must answer at once, it returned a promise')
        }
        const allowed = this.#allowed(message, answer, 'authorizeDeliver', isMessage)
        if (allowed !== message && !isValidTopicName(allowed.topic, Infinity)) {
          throw new TypeError('authorizeDeliver answered a message whose topic is none')
        }
        return allowed
      } catch (error) {
        if (!(error instanceof MqttError)) this.#report(error as Error)
        return undefined
      }
    }
    return undefined
  }

  /** Turns the answer to a question of permission into the thing itself, or throws. */
  #allowed<T extends object>(
    asked: T,
    answer: boolean | T | undefined,
    hook: string,
    isRight: (value: unknown) => boolean,
  ): T {
    if (answer === true) return asked
    if (answer === false || answer === undefined) throw new MqttError('not-authorized')
    if (isRight(answer)) return answer
    this.#report(
      new TypeError(`${hook} answered ${typeof answer}, which is neither a boolean nor what it was asked about`),
    )
    throw new MqttError('unspecified')
  }

  /**
   * The first answer that is not undefined; at once when no hook takes its time.
   * `abort` is the signal that the hook was given: aborted when its time is over.
   */
  #first<Answer>(
    hooks: readonly Hook[],
    ask: Ask<Answer>,
    abort?: AbortController,
    client?: AskingClient,
    from = 0,
  ): MaybePromise<Answer | undefined> {
    for (let index = from; index < hooks.length; index += 1) {
      const hook = hooks[index] as Hook
      let answer: MaybePromise<Answer | undefined | void>
      try {
        answer = ask(hook.plugin)
      } catch (error) {
        throw this.#refusal(hook, error)
      }
      if (isPromise(answer)) {
        return this.#inTime(hook, answer as Promise<Answer | undefined>, abort, client).then((value) =>
          value === undefined ? this.#first(hooks, ask, abort, client, index + 1) : value,
        )
      }
      if (answer !== undefined) return answer
    }
    return undefined
  }

  #inTime<Answer>(
    hook: Hook,
    answer: Promise<Answer>,
    abort: AbortController | undefined,
    client: AskingClient | undefined,
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      let isOver = false
      const timer = this.#timers.after(this.#timeoutMs, () => {
        if (client?.hookTime === 'together' || client?.hookTime === 'over') return
        isOver = true
        reject(this.#refusal(hook, new Error(`no answer within ${this.#timeoutMs} ms`)))
        abort?.abort()
      })
      answer.then(
        (value) => {
          this.#timers.cancel(timer)
          if (client?.hookTime === 'over') reject(new MqttError('unspecified'))
          else resolve(value)
        },
        (error: unknown) => {
          this.#timers.cancel(timer)
          if (isOver) return // It was reported when its time was over.
          if (client?.hookTime === 'over') return reject(new MqttError('unspecified'))
          // A hook that gives up because its Client left, or its time was over, has no fault.
          if (abort?.signal.aborted === true) reject(new MqttError('unspecified'))
          else reject(this.#refusal(hook, error))
        },
      )
    })
  }

  /** An `MqttError` is the hook's decision; anything else is a fault of the hook, which refuses too. */
  #refusal(hook: Hook, error: unknown): MqttError {
    if (error instanceof MqttError) return error
    const cause = error instanceof Error ? error : new Error(String(error))
    this.#report(new Error(`${hook.name} of plugin ${hook.plugin.name} failed: ${cause.message}`, { cause }))
    return new MqttError('unspecified', '', { cause })
  }
}

/** A controller that is aborted when the connection is gone. */
function following(gone: AbortSignal): AbortController {
  const abort = new AbortController()
  if (gone.aborted) abort.abort()
  else gone.addEventListener('abort', () => abort.abort(), { once: true })
  return abort
}

function isMessage(value: unknown): boolean {
  const message = value as Partial<Message> | null
  return (
    typeof message === 'object' &&
    message !== null &&
    typeof message.topic === 'string' &&
    message.payload instanceof Uint8Array &&
    (message.qos === 0 || message.qos === 1 || message.qos === 2) &&
    (message.properties === undefined || faultInMessageProperties(message.properties) === undefined)
  )
}

function isSubscription(value: unknown): boolean {
  const subscription = value as Partial<Subscription> | null
  return (
    typeof subscription === 'object' &&
    subscription !== null &&
    typeof subscription.topicFilter === 'string' &&
    (subscription.qos === 0 || subscription.qos === 1 || subscription.qos === 2) &&
    [undefined, 0, 1, 2].includes(subscription.retainHandling) &&
    (subscription.subscriptionIdentifier === undefined ||
      faultIn({ subscriptionIdentifier: subscription.subscriptionIdentifier }, 'subscribe') === undefined)
  )
}
