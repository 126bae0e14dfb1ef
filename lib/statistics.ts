/** Numbers that are counted from the start of the broker. Plain fields, because they change with every packet. */
export class Statistics {
  connections = 0
  clientsConnected = 0
  clientsMaximum = 0
  connectionsRefused = 0
  messagesReceived = 0
  messagesSent = 0
  bytesReceived = 0
  bytesSent = 0
  publishReceived = 0
  publishSent = 0
  publishDropped = 0
  publishBytesReceived = 0
  publishBytesSent = 0
}

/** The parts with a current value, as opposed to a counter. */
export interface Gauges {
  readonly sessions: { readonly size: number }
  readonly subscriptions: { readonly size: number; readonly sharedSize: number }
  readonly retained: { readonly size: number; readonly bytes: number }
  readonly queueTotals: { readonly messages: number; readonly bytes: number }
  readonly timers: { readonly size: number }
}

/** The current statistics of a broker. */
export function snapshot(
  statistics: Statistics,
  { sessions, subscriptions, retained, queueTotals, timers }: Gauges,
): Record<string, number> {
  const now: Record<string, number> = {
    sessions: sessions.size,
    subscriptions: subscriptions.size,
    sharedSubscriptions: subscriptions.sharedSize,
    retainedMessages: retained.size,
    retainedBytes: retained.bytes,
    queuedMessages: queueTotals.messages,
    queuedBytes: queueTotals.bytes,
    timers: timers.size,
  }
  return Object.assign(now, statistics)
}
