import type {
  PersistedPublish,
  PersistedQueueItem,
  PersistedSessionInfo,
  PersistedSubscription,
  PersistedWill,
  PersistenceOperation,
  PublishOperation,
} from '../../../types/persistence.ts'
import { type StoreState, stateOf } from './state.ts'

interface ModelSession {
  session: PersistedSessionInfo
  readonly subscriptions: Map<string, PersistedSubscription>
  /** Inflight messages, in the order of sending. */
  sent: PersistedQueueItem[]
  waiting: PersistedQueueItem[]
  readonly incoming: Set<number>
  will: PersistedWill | undefined
}

/** The required behaviour of a store in the simplest form: slow, in memory, and easy to verify. */
export class StoreModel {
  readonly retained: Map<string, PersistedPublish> = new Map()
  readonly sessions: Map<string, ModelSession> = new Map()

  commit(operations: readonly PersistenceOperation[]): void {
    for (const operation of operations) this.#apply(operation)
  }

  state(): StoreState {
    const sessions = Array.from(this.sessions, ([clientId, session]) => ({
      ...session,
      clientId,
      subscriptions: [...session.subscriptions.values()],
      queue: [...session.sent, ...session.waiting],
      incoming: [...session.incoming],
    }))
    return stateOf([...this.retained.values()], sessions)
  }

  #apply(operation: PersistenceOperation): void {
    if (operation.kind === 'publish') return this.#publish(operation)
    if (operation.kind === 'discard') {
      for (const clientId of operation.clientIds) {
        const session = this.sessions.get(clientId)
        if (session === undefined) continue
        session.waiting = session.waiting.filter((item) => !hasName(item, operation))
      }
      return
    }
    const { clientId } = operation
    if (operation.kind === 'session') return this.#describe(clientId, operation.session)
    const session = this.sessions.get(clientId)
    if (session === undefined) return // no such session
    switch (operation.kind) {
      case 'end session':
        this.sessions.delete(clientId)
        return
      case 'subscribe':
        for (const subscription of operation.subscriptions) session.subscriptions.set(subscription.topic, subscription)
        return
      case 'unsubscribe':
        for (const topicFilter of operation.topicFilters) session.subscriptions.delete(topicFilter)
        return
      case 'send':
        send(session, operation)
        return
      case 'release':
        session.sent = session.sent.map((item) =>
          identifierOf(item) === operation.messageId
            ? { packet: { cmd: 'pubrel', messageId: operation.messageId }, target: undefined }
            : item,
        )
        return
      case 'complete':
        session.sent = session.sent.filter((item) => identifierOf(item) !== operation.messageId)
        return
      case 'incoming done':
        session.incoming.delete(operation.messageId)
        return
      case 'will':
        session.will = operation.will
        return
    }
  }

  #describe(clientId: string, info: PersistedSessionInfo): void {
    const session = this.sessions.get(clientId)
    if (session !== undefined) session.session = info
    else {
      this.sessions.set(clientId, {
        session: info,
        subscriptions: new Map(),
        sent: [],
        waiting: [],
        incoming: new Set(),
        will: undefined,
      })
    }
  }

  #publish({ packet, targets, retain, incoming }: PublishOperation): void {
    if (retain && packet.payload.length === 0) this.retained.delete(packet.topic)
    else if (retain) this.retained.set(packet.topic, packet)
    if (incoming !== undefined) this.sessions.get(incoming.clientId)?.incoming.add(incoming.messageId)
    for (const target of targets) {
      const session = this.sessions.get(target.clientId)
      if (target.messageId === undefined) session?.waiting.push({ packet, target })
      else session?.sent.push({ packet, target })
    }
  }
}

/** The Packet Identifier of a message in its queue. */
export function identifierOf(item: PersistedQueueItem | undefined): number | undefined {
  if (item === undefined) return undefined
  return item.target === undefined ? item.packet.messageId : item.target.messageId
}

interface MessageName {
  readonly brokerId?: string | undefined
  readonly brokerCounter?: number | undefined
}

function hasName(item: PersistedQueueItem, { brokerId, brokerCounter }: MessageName): boolean {
  return item.packet.brokerId === brokerId && item.packet.brokerCounter === brokerCounter
}

function send(session: ModelSession, operation: MessageName & { readonly messageId: number }): void {
  const identified = (item: PersistedQueueItem): PersistedQueueItem =>
    item.target === undefined ? item : { ...item, target: { ...item.target, messageId: operation.messageId } }
  const first = session.waiting.find((item) => hasName(item, operation))
  session.waiting = session.waiting.filter((item) => item !== first)
  session.sent = session.sent.map((item) => (hasName(item, operation) ? identified(item) : item))
  if (first !== undefined) session.sent.push(identified(first))
}
