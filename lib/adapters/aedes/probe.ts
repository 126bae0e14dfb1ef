import { isDeepStrictEqual } from 'node:util'
import type {
  PersistedPacket,
  PersistedPublish,
  PersistedSubscription,
  PersistedWill,
  PersistenceClient,
} from '../../../types/persistence.ts'
import type { BrokerHandle } from '../../storage/broker-handle.ts'
import type { Calls } from './calls.ts'
import { fieldsOf } from './plain-value.ts'
import {
  acceptedPlaceholder,
  fromStored,
  type MessageName,
  type ReadPacket,
  pubrelByIdentifier,
  releasedPlaceholder,
  toStored,
} from './stored-packet.ts'
import { RESERVED } from './stored-topic.ts'

/** The differences between adapters. They are probed, because the next version of an adapter may behave differently. */
export interface Capabilities {
  /** Properties and expiry come back from queues. */
  readonly queueProperties: boolean
  /** … of QoS 2 messages from Clients. */
  readonly incomingProperties: boolean
  /** … of retained messages. */
  readonly retainedProperties: boolean
  /** Properties and `dueAt` of Wills come back. */
  readonly willFields: boolean
  /** Two queues with the same message share its Packet Identifier and QoS. */
  readonly sharedPackets: boolean
  /** Setting the Packet Identifier of a message writes the whole packet again. */
  readonly rewritesPackets: boolean
  /** The possible replacement of a message after PUBREC. */
  readonly release: 'placeholder' | 'pubrel' | 'nothing'
  /** A second QoS 2 message from a Client with the same Packet Identifier replaces the first. */
  readonly replacesIncoming: boolean
  readonly cleanIncoming: boolean
  /** The Will that a new one replaces: that of the Client, that of the Client at this broker, or none. */
  readonly willReplaces: 'client' | 'client at broker' | 'none'
  /** Large numbers come back from the fields of a subscription, which store the sessions. */
  readonly sessionFields: boolean
  /** `grantedTopic`, `requestedQos`, `byApplication` and `ownCopy` come back. */
  readonly subscriptionFields: boolean
}

const properties = {
  contentType: 'probe',
  correlationData: Buffer.from([0, 255]),
  userProperties: [['a', 'b']],
} as const
const messageExpiry = 1_900_000_000_000

/** Probes the store with Client Identifiers that no Client can have, and removes everything again. */
export async function probe(
  calls: Calls,
  handle: BrokerHandle,
  id: string,
  hasCleanIncoming: boolean,
): Promise<Capabilities> {
  const client = { id: `${RESERVED}probe/${id}` }
  const packet: PersistedPublish = {
    cmd: 'publish',
    topic: `${RESERVED}probe/${id}`,
    payload: Buffer.from('probe'),
    qos: 2,
    retain: false,
    properties,
    messageExpiry,
  }
  return {
    ...(await probeSubscriptions(calls, client)),
    ...(await probeQueue(calls, client, packet, id)),
    ...(await probeIncoming(calls, client, packet, id)),
    ...(await probeRetained(calls, packet)),
    ...(await probeWills(calls, handle, client)),
    cleanIncoming: hasCleanIncoming,
  }
}

function isWhole(read: ReadPacket | undefined): boolean {
  return (
    read?.packet.messageExpiry === messageExpiry && isDeepStrictEqual(read.packet.properties, properties) && read.isOurs
  )
}

async function probeQueue(
  calls: Calls,
  client: PersistenceClient,
  packet: PersistedPublish,
  id: string,
): Promise<Pick<Capabilities, 'queueProperties' | 'sharedPackets' | 'rewritesPackets' | 'release'>> {
  const other = { id: `${client.id}/other` }
  const [first, second] = [1, 2].map((brokerCounter) => ({ brokerId: id, brokerCounter })) as [MessageName, MessageName]
  const queueOf = async ({ id }: PersistenceClient): Promise<ReadPacket[]> => {
    const queue: ReadPacket[] = []
    for await (const raw of calls.list('outgoingStream', (store) => store.outgoingStream({ id }))) {
      queue.push(fromStored(raw))
    }
    return queue
  }
  const find = async (where: PersistenceClient, { brokerCounter }: MessageName): Promise<ReadPacket | undefined> =>
    (await queueOf(where)).find(({ stored }) => stored.brokerCounter === brokerCounter)
  const update = (where: PersistenceClient, packet: unknown): Promise<unknown> =>
    calls.orUndefined(calls.call('outgoingUpdate', (store) => store.outgoingUpdate(where, packet as PersistedPacket)))
  const clear = (where: PersistenceClient, messageId: number): Promise<unknown> =>
    calls.call('outgoingClearMessageId', (store) => store.outgoingClearMessageId(where, { messageId }))

  const both = [client, other].map(({ id }) => ({ clientId: id, topic: packet.topic, qos: 2 }))
  await calls.call('outgoingEnqueueCombi', (store) => store.outgoingEnqueueCombi(both, toStored(packet, first, false)))
  await calls.call('outgoingEnqueue', (store) => store.outgoingEnqueue(both[0]!, toStored(packet, second, false)))
  if ((await queueOf(client)).length !== 2) throw new Error('its queues do not give back what was put into them')
  const queueProperties = isWhole(await find(client, first))

  await update(client, toStored(packet, first, false, undefined, 11))
  const sharedPackets = (await find(other, first))?.messageId === 11
  await update(client, toStored({ ...packet, payload: 'less' }, first, false, undefined, 11))
  const rewritesPackets = (await find(client, first))?.packet.payload.toString() === 'less'

  const isReleased = async (): Promise<boolean> => {
    const [one, two] = await Promise.all([find(client, first), find(client, second)])
    const isTwo = two?.packet.brokerId === id && two.messageId === 12 && two.kind !== 'message'
    return isTwo && one?.kind === 'message' && one.messageId === 11
  }
  await update(client, toStored(packet, second, false, undefined, 12))
  let release: Capabilities['release'] = 'placeholder'
  await update(client, releasedPlaceholder(second, 12))
  if (!(await isReleased())) {
    await update(client, pubrelByIdentifier(second, 12))
    release = (await isReleased()) ? 'pubrel' : 'nothing'
  }
  await clear(client, 12)
  await clear(client, 11)
  await update(other, toStored(packet, first, false, undefined, 13))
  await clear(other, 13)
  return { queueProperties, sharedPackets, rewritesPackets, release }
}

async function probeIncoming(
  calls: Calls,
  client: PersistenceClient,
  packet: PersistedPublish,
  id: string,
): Promise<Pick<Capabilities, 'incomingProperties' | 'replacesIncoming'>> {
  const name = { brokerId: id, brokerCounter: 1 }
  const get = async (messageId: number): Promise<ReadPacket> =>
    fromStored(await calls.call('incomingGetPacket', (store) => store.incomingGetPacket(client, { messageId })))
  const put = (stored: PersistedPublish): Promise<unknown> =>
    calls.call('incomingStorePacket', (store) => store.incomingStorePacket(client, stored))
  const remove = (): Promise<unknown> =>
    calls.call('incomingDelPacket', (store) => store.incomingDelPacket(client, { messageId: 1 }))

  await put(toStored(packet, name, false, undefined, 1))
  const incomingProperties = isWhole(await get(1))
  await put(acceptedPlaceholder(name, 1))
  const replacesIncoming = (await get(1)).kind === 'accepted'
  try {
    await get(2)
  } catch (error) {
    // This is the message of the store for a missing packet.
    const reason = error instanceof Error && error.cause instanceof Error ? error.cause.message : ''
    if (reason !== '') {
      calls.notFound = new RegExp(`${calls.notFound.source}|^${reason.replaceAll(/[^\w\s]/g, String.raw`\$&`)}$`, 'i')
    }
  }
  await remove()
  if (!replacesIncoming) await remove()
  return { incomingProperties, replacesIncoming }
}

async function probeRetained(
  calls: Calls,
  packet: PersistedPublish,
): Promise<Pick<Capabilities, 'retainedProperties'>> {
  const stored = { ...toStored(packet, { brokerId: 'probe', brokerCounter: 1 }, false), retain: true }
  await calls.callWithRetry('storeRetained', (store) => store.storeRetained(stored))
  let retainedProperties = false
  for await (const raw of calls.list('createRetainedStream', (store) => store.createRetainedStream(packet.topic))) {
    retainedProperties = isWhole(fromStored(raw))
  }
  await calls.callWithRetry('storeRetained', (store) => store.storeRetained({ ...stored, payload: Buffer.alloc(0) }))
  return { retainedProperties }
}

async function probeWills(
  calls: Calls,
  handle: BrokerHandle,
  client: PersistenceClient,
): Promise<Pick<Capabilities, 'willFields' | 'willReplaces'>> {
  const { id } = handle
  const [first, second] = [`${id}-1`, `${id}-2`]
  const put = async (brokerId: string, payload: string): Promise<void> => {
    handle.id = brokerId
    const will = {
      topic: client.id,
      payload: Buffer.from(payload),
      qos: 1,
      retain: false,
      properties,
      dueAt: messageExpiry,
    }
    await calls.call('putWill', (store) => store.putWill(client, will as PersistedWill))
  }
  const get = async (brokerId: string): Promise<Record<string, unknown> | undefined> => {
    handle.id = brokerId
    const will = await calls.orUndefined(calls.call('getWill', (store) => store.getWill({ ...client, brokerId })))
    return will === null || will === undefined ? undefined : fieldsOf(will)
  }
  const remove = (brokerId: string): Promise<unknown> => {
    handle.id = brokerId
    return calls.orUndefined(calls.call('delWill', (store) => store.delWill({ ...client, brokerId })))
  }
  try {
    await put(first, 'first')
    const kept = await get(first)
    await put(second, 'second')
    const atFirst = (await get(first))?.payload?.toString()
    const atSecond = (await get(second))?.payload?.toString()
    await remove(second)
    const isLeft = (await get(second)) !== undefined
    await remove(first)
    const willFields = kept?.dueAt === messageExpiry && isDeepStrictEqual(kept.properties, properties)
    if (isLeft || atSecond !== 'second') return { willFields, willReplaces: 'none' }
    return { willFields, willReplaces: atFirst === 'second' ? 'client' : 'client at broker' }
  } finally {
    handle.id = id
  }
}

async function probeSubscriptions(
  calls: Calls,
  client: PersistenceClient,
): Promise<Pick<Capabilities, 'sessionFields' | 'subscriptionFields'>> {
  const [rh, subscriptionIdentifier] = [4_294_967_295, messageExpiry]
  const fields = {
    rh,
    subscriptionIdentifier,
    grantedTopic: 'granted',
    requestedQos: 2,
    byApplication: true,
    ownCopy: true,
  }
  const subscription = { topic: `${RESERVED}probe`, qos: 1, rap: false, nl: false, ...fields }
  await calls.callWithRetry('addSubscriptions', (store) =>
    store.addSubscriptions(client, [subscription as unknown as PersistedSubscription]),
  )
  const [read] = await calls.callWithRetry('subscriptionsByClient', (store) => store.subscriptionsByClient(client))
  const kept = fieldsOf(read)
  await calls.callWithRetry('removeSubscriptions', (store) => store.removeSubscriptions(client, [subscription.topic]))
  return {
    sessionFields: kept.rh === rh && kept.subscriptionIdentifier === subscriptionIdentifier,
    subscriptionFields:
      kept.grantedTopic === fields.grantedTopic &&
      kept.requestedQos === fields.requestedQos &&
      kept.byApplication === true &&
      kept.ownCopy === true,
  }
}
