import type { QoS } from '../../types/packets.ts'
import type { Core } from '../core.ts'
import type { Message } from '../messages/message.ts'
import type { Subscription } from '../messages/receiver.ts'
import type { Session } from './session.ts'

// Retained messages handed over before the rest of the program has its turn.
const BATCH = 256

/**
 * Sends a new subscription what is retained (section 3.3.1.3), as fast as its receiver takes it: 100,000 messages
 * neither fill its queue nor hold up the program.
 */
export function deliverRetained(core: Core, session: Session, subscription: Subscription): void {
  const messages = core.retained.match(subscription.matchFilter)
  const deliverSome = (): void => {
    for (let count = 0; count < BATCH; count += 1) {
      if (!session.takesMore) {
        session.whenFlowing(deliverSome)
        return
      }
      const next = messages.next()
      if (next.done === true || session.subscriptions.get(subscription.topicFilter) !== subscription) return
      deliver(session, subscription, next.value)
    }
    setImmediate(deliverSome)
  }
  deliverSome()
}

function deliver(session: Session, subscription: Subscription, message: Message): void {
  if (subscription.noLocal && message.publisher === session.clientId) return
  const qos = Math.min(subscription.qos, message.qos) as QoS
  session.deliver(message, qos, true, subscription.identifiers, undefined) // RETAIN 1 [MQTT-3.3.1-8 of 3.1.1]
}
