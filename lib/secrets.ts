import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { inspect, type InspectOptions } from 'node:util'

const HIDDEN = '[hidden]'

/** The headers that no application puts a secret in; a sub-protocol may be a token. */
const shownHeaders = new Set([
  'host',
  'origin',
  'user-agent',
  'connection',
  'upgrade',
  'sec-websocket-version',
  'sec-websocket-extensions',
])

/**
 * Hides bytes in logs: `console.log`, `util.inspect` and `JSON.stringify` show that they are there. The bytes themselves
 * and their comparison stay as they are, also in a copy of the object that has them. Returns the same bytes.
 */
export function hidden<T extends Uint8Array | undefined>(bytes: T): T {
  if (bytes !== undefined) hideAs(bytes, () => HIDDEN)
  return bytes
}

/** Hides the query, most headers and the socket of an HTTP request in logs; the request itself stays as it is. */
export function hideSecretsOf(request: IncomingMessage): void {
  hideAs(request, () => {
    const { method, url = '' } = request
    const headers = (request.headers as IncomingHttpHeaders | undefined) ?? {} // A stand-in may have none.
    const question = url.indexOf('?')
    return {
      method,
      url: question === -1 ? url : `${url.slice(0, question)}?${HIDDEN}`,
      headers: Object.fromEntries(
        Object.entries(headers).map(([name, value]) => [name, shownHeaders.has(name) ? value : HIDDEN]),
      ),
    }
  })
}

/** Makes `console.log` and `util.inspect` show the objects of a class as `JSON.stringify` does. */
export function inspectAsJson(type: { readonly name: string; readonly prototype: { toJSON(): object } }): void {
  Object.defineProperty(type.prototype, inspect.custom, {
    value(this: { toJSON(): object }, _depth: number, options: InspectOptions) {
      return `${type.name} ${inspect(this.toJSON(), options)}`
    },
  })
}

/** Shows this in logs instead of the object. An object that cannot be changed is left as it is. */
function hideAs(object: object, shown: () => unknown): void {
  const toJSON = { value: shown, configurable: true, writable: true }
  Reflect.defineProperty(object, 'toJSON', toJSON)
  const custom = (_depth: number, options: InspectOptions): string => {
    const instead = shown()
    return typeof instead === 'string' ? instead : inspect(instead, options)
  }
  Reflect.defineProperty(object, inspect.custom, { value: custom, configurable: true, writable: true })
}
