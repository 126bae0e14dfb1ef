import { isCommon, messageIn } from '../memory/stored-queue.ts'
import type { SizeListener } from '../memory/stored-state.ts'
import { messageFields, sessionFields, subscriptionFields, targetFields, willFields } from '../records.ts'
import { RECORD_HEADER } from './record-kinds.ts'
import { fieldBytes } from './write-fields.ts'

/** Counts the bytes of a journal with live records only. It is called for every message, so it is not exact. */
export class LiveBytes implements SizeListener {
  bytes = 0

  message(...[packet, sign]: Parameters<SizeListener['message']>): void {
    const { topic, payload, clientId = '' } = packet
    const fixed = RECORD_HEADER + 58
    this.bytes += sign * (fixed + topic.length + payload.length + clientId.length + fieldBytes(messageFields, packet))
  }

  entry(...[clientId, content, own, sign]: Parameters<SizeListener['entry']>): void {
    if (messageIn(content) === undefined) this.bytes += sign * pubrelBytes(clientId)
    else this.bytes += sign * (5 + clientId.length + (isCommon(own) ? 0 : fieldBytes(targetFields, own)))
  }

  subscription(...[clientId, subscription, sign]: Parameters<SizeListener['subscription']>): void {
    const { topic } = subscription
    const fixed = RECORD_HEADER + 16
    this.bytes += sign * (fixed + clientId.length + topic.length + fieldBytes(subscriptionFields, subscription))
  }

  will(...[clientId, will, sign]: Parameters<SizeListener['will']>): void {
    const { topic, payload } = will
    const fixed = RECORD_HEADER + 19
    this.bytes += sign * (fixed + clientId.length + topic.length + payload.length + fieldBytes(willFields, will))
  }

  session(...[clientId, session, sign]: Parameters<SizeListener['session']>): void {
    this.bytes += sign * (RECORD_HEADER + 19 + clientId.length + fieldBytes(sessionFields, session))
  }

  incoming(...[clientId, packet, sign]: Parameters<SizeListener['incoming']>): void {
    if (packet === undefined) this.bytes += sign * pubrelBytes(clientId)
    else this.message(packet, sign)
  }
}

function pubrelBytes(clientId: string): number {
  return RECORD_HEADER + 50 + clientId.length
}
