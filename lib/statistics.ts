import type { BrokerStatistics, StatisticKind } from '../types/statistics.ts'

/** The kind of each number of `broker.stats()`, for example for an export to Prometheus. */
export const statisticKinds: Readonly<Record<keyof BrokerStatistics, StatisticKind>> = {
  connections: 'counter',
  connectionsRefused: 'counter',
  clientsConnected: 'gauge',
  clientsMaximum: 'gauge',
  messagesReceived: 'counter',
  messagesSent: 'counter',
  bytesReceived: 'counter',
  bytesSent: 'counter',
  publishReceived: 'counter',
  publishSent: 'counter',
  publishDropped: 'counter',
  publishRefused: 'counter',
  publishBytesReceived: 'counter',
  publishBytesSent: 'counter',
  sessions: 'gauge',
  subscriptions: 'gauge',
  sharedSubscriptions: 'gauge',
  retainedMessages: 'gauge',
  retainedBytes: 'gauge',
  queuedMessages: 'gauge',
  queuedBytes: 'gauge',
  timers: 'gauge',
}

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
  publishRefused = 0
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
): BrokerStatistics {
  return {
    sessions: sessions.size,
    subscriptions: subscriptions.size,
    sharedSubscriptions: subscriptions.sharedSize,
    retainedMessages: retained.size,
    retainedBytes: retained.bytes,
    queuedMessages: queueTotals.messages,
    queuedBytes: queueTotals.bytes,
    timers: timers.size,
    ...(statistics satisfies object as Pick<Statistics, keyof Statistics>),
  }
}
