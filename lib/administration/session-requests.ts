import type { Message as PublicMessage } from '../../types/message.ts'
import type { Subscription as PublicSubscription } from '../../types/subscription.ts'
import { asBytes } from '../packets/bytes.ts'
import { InvalidOptionError, MqttError } from '../errors.ts'
import type { SessionView } from './session-view.ts'

/** A change of one session, or a question about several, as brokers send it to the owner broker of the session. */
export type SessionRequest =
  | { readonly kind: 'view'; readonly clientIds: readonly string[] }
  | { readonly kind: 'delete'; readonly clientId: string }
  | { readonly kind: 'subscribe'; readonly clientId: string; readonly subscriptions: readonly PublicSubscription[] }
  | { readonly kind: 'unsubscribe'; readonly clientId: string; readonly topicFilters: readonly string[] }
  | { readonly kind: 'publish'; readonly clientId: string; readonly message: PublicMessage }

/** The response of a broker. One that does not have the session returns none. */
export type SessionResponse =
  | { readonly views: readonly SessionView[] }
  | { readonly result: number }
  | { readonly refusal: { readonly reasonCode: number; readonly message: string } }
  | { readonly invalid: string }

/** Reads a request, which comes from another broker. Throws a `TypeError` if it is none. */
export function readRequest(body: unknown): SessionRequest {
  const request = body as Partial<Record<string, unknown>> | undefined
  const isOne = (): boolean => typeof request?.clientId === 'string'
  switch (request?.kind) {
    case 'view':
      if (isListOf(request.clientIds, 'string')) return request as SessionRequest
      break
    case 'delete':
      if (isOne()) return request as SessionRequest
      break
    case 'subscribe':
      if (isOne() && isListOf(request.subscriptions, 'object') && areSubscriptions(request.subscriptions))
        return request as SessionRequest
      break
    case 'unsubscribe':
      if (isOne() && isListOf(request.topicFilters, 'string')) return request as SessionRequest
      break
    case 'publish':
      if (isOne() && isMessage(request.message)) return request as SessionRequest
  }
  throw new TypeError('administration: unknown request of another broker')
}

/** The failure of a request, as brokers send it. Another error is one of that broker, which is passed on. */
export function responseOf(error: unknown): SessionResponse {
  if (error instanceof MqttError) return { refusal: { reasonCode: error.reasonCode, message: error.message } }
  if (error instanceof InvalidOptionError) return { invalid: error.message }
  throw error
}

/** The result of a request; throws its error. */
export function resultOf(response: SessionResponse): number {
  if ('result' in response) return response.result
  if ('refusal' in response) throw new MqttError(response.refusal.reasonCode, response.refusal.message)
  if ('invalid' in response) throw new InvalidOptionError(response.invalid)
  return 0
}

function isListOf(value: unknown, type: string): value is unknown[] {
  return Array.isArray(value) && value.every((one) => typeof one === type && one !== null)
}

function areSubscriptions(values: readonly unknown[]): boolean {
  return (values as Partial<PublicSubscription>[]).every(
    ({ topicFilter, qos }) => typeof topicFilter === 'string' && (qos === 0 || qos === 1 || qos === 2),
  )
}

function isMessage(value: unknown): boolean {
  const message = value as Partial<PublicMessage> | undefined
  return typeof message === 'object' && message !== null && asBytes(message.payload) !== undefined
}
