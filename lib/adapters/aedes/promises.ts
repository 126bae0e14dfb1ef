import type { Capabilities } from './probe.ts'

/** What may be built on a store that was made for aedes. */
export interface AdapterPromises {
  readonly adapter: string
  /** Where Properties and the expiry of messages stand: in fields of their own, or in front of the payload. */
  readonly properties: 'fields' | 'payload'
  /** Several changes are never done together or not at all; the order of them is such that none is lost. */
  readonly atomic: false
  /** Queues are sorted when they are read: by the start of the broker, then as it stored them. */
  readonly order: 'start and counter'
  /** What a queued message is named by: one name for all queues, or one for each, where queues would share a packet. */
  readonly names: 'one' | 'one for each queue'
  /** What takes the place of a QoS 2 message after PUBREC. */
  readonly release: Capabilities['release']
  /** What is lost. */
  readonly losses: readonly string[]
}

export function promisesOf(adapter: string, capabilities: Capabilities): AdapterPromises {
  return {
    adapter,
    properties: capabilities.queueProperties ? 'fields' : 'payload',
    atomic: false,
    order: 'start and counter',
    names: capabilities.sharedPackets ? 'one for each queue' : 'one',
    release: capabilities.release,
    losses: lossesOf(capabilities),
  }
}

/** What cannot be made good. */
export function lossesOf(capabilities: Capabilities): string[] {
  const losses: string[] = []
  if (!capabilities.sessionFields) losses.push('when a session expires')
  if (!capabilities.willFields) losses.push('the properties of Wills and when a delayed one is due')
  if (capabilities.release === 'nothing') losses.push('PUBREC, so a QoS 2 message is sent again after a restart')
  if (!capabilities.cleanIncoming) {
    losses.push('a session free of the QoS 2 exchanges of the one before, when that ended after a restart')
  }
  return losses
}
