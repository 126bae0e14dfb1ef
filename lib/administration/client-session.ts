import type { MessageInit } from '../../types/message.ts'
import type {
  ClientOperations,
  ClientSession as PublicClientSession,
  ClientSubscribeOptions,
} from '../../types/session.ts'
import type { Subscription } from '../../types/subscription.ts'
import { refuseCallback } from '../usage/callbacks.ts'
import type { SessionView } from './session-view.ts'

/** Changes of the session with a Client Identifier, at whichever broker has it. */
export interface SessionOperations {
  subscribe(clientId: string, filter: unknown, options: ClientSubscribeOptions | undefined): Promise<void>
  unsubscribe(clientId: string, filter: unknown): Promise<number>
  publish(clientId: string, message: MessageInit): Promise<void>
  delete(clientId: string): Promise<boolean>
}

/** A session as the application sees it. Its state is that of the moment of its creation. */
export class ClientSession implements PublicClientSession, ClientOperations {
  readonly clientId: string
  readonly owner: string | undefined
  readonly connected: boolean
  readonly stored: boolean
  readonly broker: string | undefined
  readonly expiryInterval: number
  readonly expiresAt: number | undefined
  readonly connectedAt: number | undefined
  readonly hasWill: boolean
  readonly subscriptions: readonly Subscription[]
  readonly queuedMessages: number
  readonly inflightMessages: number
  readonly queuedBytes: number
  readonly #operations: SessionOperations

  constructor(view: SessionView, operations: SessionOperations) {
    this.clientId = view.clientId
    this.owner = view.owner
    this.connected = view.connected
    this.stored = view.stored
    this.broker = view.broker
    this.expiryInterval = view.expiryInterval
    this.expiresAt = view.expiresAt
    this.connectedAt = view.connectedAt
    this.hasWill = view.hasWill
    this.subscriptions = view.subscriptions
    this.queuedMessages = view.queuedMessages
    this.inflightMessages = view.inflightMessages
    this.queuedBytes = view.queuedBytes
    this.#operations = operations
  }

  subscribe(filter: string | readonly string[], options?: ClientSubscribeOptions): Promise<void> {
    refuseCallback('session.subscribe(filter)', arguments)
    return this.#operations.subscribe(this.clientId, filter, options)
  }

  unsubscribe(filter: string | readonly string[]): Promise<number> {
    refuseCallback('session.unsubscribe(filter)', arguments)
    return this.#operations.unsubscribe(this.clientId, filter)
  }

  publish(message: MessageInit): Promise<void> {
    refuseCallback('session.publish(message)', arguments)
    return this.#operations.publish(this.clientId, message)
  }

  delete(): Promise<boolean> {
    refuseCallback('session.delete()', arguments)
    return this.#operations.delete(this.clientId)
  }
}
