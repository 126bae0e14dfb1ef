import type { AuthenticationExchange, Client, ConnectRequest } from '../types/client.ts'
import type { ConnectionInfo } from '../types/connection-info.ts'
import type { MaybePromise, ReauthenticateAnswer } from '../types/hooks.ts'
import type { Message } from '../types/message.ts'
import type { Subscription } from '../types/subscription.ts'
import { ApplicationFunction } from './application-calls.ts'
import { MqttError } from './errors.ts'
import { authenticationDataOf, messageIn, subscriptionIn } from './hook-answers.ts'
import { type AnyPlugin, type AskingClient, type Hook, type HookName, PluginCalls } from './plugin-calls.ts'
import { isPromise } from './promises.ts'
import type { Timers } from './timers.ts'
import { isValidTopicName } from './topics/topic-name.ts'

/** For each hook the plugins that have it, in the order in which they are asked. */
type HookTable = Readonly<Record<HookName, Hook[]>>

/** One row per hook: the compiler reports a hook of `types/hooks.ts` without a row. The lifecycle calls `setup`. */
function emptyTable(): HookTable {
  return {
    setup: [],
    connect: [],
    authenticate: [],
    reauthenticate: [],
    authorizePublish: [],
    authorizeSubscribe: [],
    authorizeDeliver: [],
    inspect: [],
  }
}

export const hookNames: readonly HookName[] = Object.keys(emptyTable()) as HookName[] // The rows and nothing else.

/**
 * Calls the hooks of the application. A hook that no plugin has costs one comparison; a result that is not a promise is
 * used at once.
 */
export class Hooks {
  /** An object with a fixed shape, because some rows are read for each message. */
  readonly #plugins: HookTable = emptyTable()
  readonly #calls: PluginCalls
  readonly #reportError: (error: Error) => void

  constructor(timers: Timers, timeoutMs: number, reportError: (error: Error) => void) {
    this.#calls = new PluginCalls(timers, timeoutMs, reportError)
    this.#reportError = reportError
  }

  add(plugin: AnyPlugin): void {
    for (const name of hookNames) {
      if (plugin[name] === undefined) continue
      this.#plugins[name].push({ plugin, name, calls: new ApplicationFunction(true) })
    }
  }

  get canConnect(): boolean {
    return this.#plugins.connect.length > 0
  }
  get canAuthenticate(): boolean {
    return this.#plugins.authenticate.length > 0
  }
  get checksPublish(): boolean {
    return this.#plugins.authorizePublish.length > 0 || this.#plugins.inspect.length > 0
  }
  get checksSubscribe(): boolean {
    return this.#plugins.authorizeSubscribe.length > 0
  }
  get checksDeliver(): boolean {
    return this.#plugins.authorizeDeliver.length > 0
  }

  /** Rejects with an `MqttError` unless every plugin permits the connection. */
  async connect(info: ConnectionInfo, closed: AbortSignal): Promise<void> {
    const answer = await following(closed, (abort) =>
      this.#calls.first<boolean>(
        this.#plugins.connect,
        (plugin) => this.#everyButFalse(plugin.connect?.(info, abort.signal)),
        abort,
      ),
    )
    if (answer === false) throw new MqttError('not-authorized', 'connection refused')
  }

  // `true` becomes undefined, so that the hooks of all plugins are called.
  #everyButFalse(answer: MaybePromise<boolean | void>): MaybePromise<boolean | undefined> {
    if (isPromise(answer)) return answer.then((value) => this.#everyButFalse(value))
    if (answer === false) return false
    if (answer === true || answer === undefined) return undefined
    throw new TypeError(`connect answered ${typeof answer}, which is neither a boolean nor nothing`)
  }

  /** Resolves with the `client.session`; undefined when no plugin knows the Client, false when one refuses it. */
  async authenticate(
    request: ConnectRequest,
    info: ConnectionInfo,
    closed: AbortSignal,
    authentication: AuthenticationExchange,
  ): Promise<unknown> {
    return following(closed, (abort) =>
      this.#calls.first<unknown>(
        this.#plugins.authenticate,
        (plugin) => plugin.authenticate?.(request, info, abort.signal, authentication),
        abort,
      ),
    )
  }

  async reauthenticate(
    step: AuthenticationExchange,
    client: AskingClient,
  ): Promise<ReauthenticateAnswer<unknown> | false | undefined> {
    const answer = await following(client.signal, (abort) =>
      this.#calls.first<ReauthenticateAnswer<unknown> | false>(
        this.#plugins.reauthenticate,
        (plugin) => plugin.reauthenticate?.(step, client as Client<never>, abort.signal),
        abort,
        undefined,
        client,
      ),
    )
    if (answer === undefined || answer === false) return answer
    try {
      if (typeof answer?.done !== 'boolean') {
        throw new TypeError('reauthenticate answered neither false nor an object with `done`')
      }
      return answer.data === undefined ? answer : { ...answer, data: authenticationDataOf(answer.data) }
    } catch (error) {
      this.#reportError(error as Error)
    }
    throw new MqttError('unspecified')
  }

  /** Returns the message to publish: this one or its replacement. Throws an `MqttError` when it is refused. */
  authorizePublish(message: Message, client: AskingClient): MaybePromise<Message> {
    if (this.#plugins.authorizePublish.length === 0) return this.#inspected(message, client)
    const answer = this.#calls.first<boolean | Message>(
      this.#plugins.authorizePublish,
      (plugin) => plugin.authorizePublish?.(message, client as Client<never>),
      undefined,
      client,
    )
    if (isPromise(answer)) {
      return answer.then((value) =>
        this.#inspected(this.#allowed(message, value, 'authorizePublish', messageIn), client),
      )
    }
    return this.#inspected(this.#allowed(message, answer, 'authorizePublish', messageIn), client)
  }

  #inspected(message: Message, client: AskingClient): MaybePromise<Message> {
    if (this.#plugins.inspect.length === 0) return message
    const answer = this.#calls.first<never>(
      this.#plugins.inspect,
      (plugin) => {
        const seen = plugin.inspect?.(message, client as Client<never>)
        return isPromise(seen) ? seen.then(() => undefined) : undefined // So that the hooks of all plugins are called.
      },
      undefined,
      client,
    )
    return isPromise(answer) ? answer.then(() => message) : message
  }

  /** Returns the subscription to make: this one or its replacement. Throws an `MqttError` when it is refused. */
  authorizeSubscribe(subscription: Subscription, client: AskingClient): MaybePromise<Subscription> {
    if (this.#plugins.authorizeSubscribe.length === 0) return subscription
    const answer = this.#calls.first<boolean | Subscription>(
      this.#plugins.authorizeSubscribe,
      (plugin) => plugin.authorizeSubscribe?.(subscription, client as Client<never>),
      undefined,
      undefined,
      client,
    )
    const allowed = (value: unknown): Subscription =>
      this.#allowed(subscription, value as boolean | Subscription | undefined, 'authorizeSubscribe', subscriptionIn)
    return isPromise(answer) ? answer.then(allowed) : allowed(answer)
  }

  /** Returns the message to send: this one or its replacement; undefined if this Client may not receive it. */
  authorizeDeliver(message: Message, client: Client): Message | undefined {
    for (const hook of this.#plugins.authorizeDeliver) {
      try {
        const answer = hook.plugin.authorizeDeliver?.(message, client as Client<never>)
        if (answer === undefined) continue
        if (isPromise(answer)) {
          answer.then(undefined, () => undefined)
          throw new TypeError('authorizeDeliver must answer at once, it returned a promise')
        }
        const allowed = this.#allowed(message, answer, 'authorizeDeliver', messageIn)
        if (allowed !== message && !isValidTopicName(allowed.topic, Infinity)) {
          throw new TypeError('authorizeDeliver answered a message whose topic is none')
        }
        return allowed
      } catch (error) {
        if (!(error instanceof MqttError)) this.#reportError(error as Error)
        return undefined
      }
    }
    return undefined
  }

  /** Returns the permitted object or its replacement, or throws. */
  #allowed<T extends object>(
    asked: T,
    answer: boolean | T | undefined,
    hook: string,
    rightIn: (value: unknown) => T | undefined,
  ): T {
    if (answer === true) return asked
    if (answer === false || answer === undefined) {
      throw new MqttError('not-authorized', `${hook} refused it`, { reasonString: '' })
    }
    const right = rightIn(answer)
    if (right !== undefined) return right
    const message = `${hook} answered ${typeof answer}, which is neither a boolean nor what it was asked about`
    this.#reportError(new TypeError(message))
    throw new MqttError('unspecified', message, { reasonString: '' })
  }
}

/** Calls `run` with a controller that is aborted when the connection is closed. */
async function following<Answer>(
  closed: AbortSignal,
  run: (abort: AbortController) => MaybePromise<Answer>,
): Promise<Answer> {
  const abort = new AbortController()
  const onClosed = (): void => abort.abort()
  if (closed.aborted) abort.abort()
  else closed.addEventListener('abort', onClosed, { once: true })
  try {
    return await run(abort)
  } finally {
    closed.removeEventListener('abort', onClosed) // A Client can authenticate again as often as it likes.
  }
}
