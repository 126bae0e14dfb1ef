import type { Client } from '../types/client.ts'
import type { MaybePromise, Plugin } from '../types/hooks.ts'
import type { ApplicationFunction, Waiting } from './application-calls.ts'
import { MqttError } from './errors.ts'
import { isPromise } from './promises.ts'
import type { Timers } from './timers.ts'

export type AnyPlugin = Plugin<never>

/** The name of a hook, as in `types/hooks.ts`. */
export type HookName = Exclude<keyof AnyPlugin, 'name'>

/** A hook of a plugin, with the names for the error message of its faults. */
export interface Hook {
  readonly plugin: AnyPlugin
  readonly name: HookName
  readonly calls: ApplicationFunction
}

/** No receiver waits for the hook. */
const NO_RECEIVER: Waiting = {}

/** The Client that a hook is called for. While the hook is called, no acknowledgement of the Client is handled. */
export interface AskingClient extends Client, Waiting {
  /**
   * `each`: every hook has a time limit. `together`: the connection has ended; its last packets and its Will have one
   * time limit. `over`: this limit is over, and the result of a hook has no effect.
   */
  hookTime?: 'each' | 'together' | 'over'
}

/** Calls the hook of one plugin; `undefined` means that the plugin has no opinion. */
type Call<Answer> = (plugin: AnyPlugin) => MaybePromise<Answer | undefined | void>

/** Calls plugins one after the other until one has an opinion, each within a time limit. */
export class PluginCalls {
  readonly #timers: Timers
  readonly #timeoutMs: number
  readonly #reportError: (error: Error) => void

  constructor(timers: Timers, timeoutMs: number, reportError: (error: Error) => void) {
    this.#timers = timers
    this.#timeoutMs = timeoutMs
    this.#reportError = reportError
  }

  /**
   * Returns the first opinion, at once unless a hook returns a promise; undefined if no plugin has one.
   * `abort` is the controller of the signal of the hook, which is aborted when the time limit is over. `waiting` is the
   * Client that waits for the hook.
   */
  first<Answer>(
    hooks: readonly Hook[],
    call: Call<Answer>,
    abort?: AbortController,
    client?: AskingClient,
    waiting: Waiting = client ?? NO_RECEIVER,
    from = 0,
  ): MaybePromise<Answer | undefined> {
    for (let index = from; index < hooks.length; index += 1) {
      const hook = hooks[index] as Hook
      let answer: MaybePromise<Answer | undefined | void>
      try {
        answer = hook.calls.call(waiting, call, hook.plugin)
      } catch (error) {
        throw this.#refusal(hook, error)
      }
      if (isPromise(answer)) {
        return this.#inTime(hook, answer as Promise<Answer | undefined>, abort, client).then((value) =>
          value === undefined ? this.first(hooks, call, abort, client, waiting, index + 1) : value,
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
          if (isOver) return // The time limit was reported.
          if (client?.hookTime === 'over') return reject(new MqttError('unspecified'))
          // A hook that fails because its signal was aborted has no fault.
          if (abort?.signal.aborted === true) reject(new MqttError('unspecified'))
          else reject(this.#refusal(hook, error))
        },
      )
    })
  }

  /** An `MqttError` is a decision of the hook; any other error is its fault, and also refuses. */
  #refusal(hook: Hook, error: unknown): MqttError {
    if (error instanceof MqttError) return error
    const cause = error instanceof Error ? error : new Error(String(error))
    const message = `${hook.name} of plugin ${hook.plugin.name} failed: ${cause.message}`
    this.#reportError(new Error(message, { cause }))
    return new MqttError('unspecified', message, { cause, reasonString: '' }) // It is for the application only.
  }
}
