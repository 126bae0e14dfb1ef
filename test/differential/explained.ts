import type { Difference, Step } from './comparison.ts'

/** A kind of difference that is known, with who is right and why. */
export interface Explained {
  readonly name: string
  /** The statement that decides it. */
  readonly statement: string
  readonly right: 'haltere' | 'mosquitto' | 'both'
  recognises(difference: Difference, step: Step): boolean
}

export const explained: readonly Explained[] = [
  {
    name: 'Mosquitto ends a connection that is taken over without a DISCONNECT',
    statement: 'MQTT-3.1.4-3',
    right: 'haltere',
    recognises: ({ only, text }, { command }) =>
      only === 'haltere' && text === 'disconnect 142' && command.do === 'connect',
  },
  {
    name: 'Where subscriptions overlap, Mosquitto sends the QoS and the RETAIN of one of them, or a copy for each',
    statement: 'MQTT-3.3.4-2',
    right: 'haltere',
    recognises: ({ client, packet }, step) => {
      if (packet?.type !== 'publish') return false
      return step.overlapped(client, packet.payload.toString())
    },
  },
  {
    name: 'Mosquitto keeps Retain As Published and No Local of a subscription that was replaced',
    statement: 'MQTT-3.8.4-3',
    right: 'haltere',
    recognises: ({ client, packet }, step) =>
      packet?.type === 'publish' && step.changed(client, packet.payload.toString()),
  },
  {
    name: 'Mosquitto says of a subscription that begins with $ and was never there that it is ended',
    statement: 'MQTT-3.10.4-5',
    right: 'haltere',
    recognises: ({ packet }, { command }) =>
      packet?.type === 'unsuback' &&
      command.do === 'unsubscribe' &&
      command.filters.some((one) => one.startsWith('$x')),
  },
  {
    name: 'Mosquitto sends a No Local subscription what its own Client has published and is retained',
    statement: 'MQTT-3.8.3-3',
    right: 'haltere',
    recognises: ({ client, only, packet }, step) =>
      only === 'mosquitto' &&
      packet?.type === 'publish' &&
      packet.retain &&
      // Again after a reconnect, when the subscription may have another No Local: what came first was explained.
      (packet.dup || step.matching(client, packet.topic).some(({ noLocal }) => noLocal)),
  },
]

/** Differences that change all that comes after them, so that the conversations keep away from them. */
export const avoided: readonly Omit<Explained, 'recognises'>[] = [
  {
    name: 'Mosquitto forgets the Will of a connection that is taken over',
    statement: 'MQTT-3.1.2-8',
    right: 'haltere',
  },
  {
    name: 'Mosquitto forgets a Will with a delay when its session ends before: no Will Delay here',
    statement: 'MQTT-3.1.2-8',
    right: 'haltere',
  },
  {
    name: 'Mosquitto delivers nothing for a shared subscription to a topic that begins with $: none of these here',
    statement: 'MQTT-4.5.0-1',
    right: 'haltere',
  },
  {
    name: 'Mosquitto forgets the Will at a DISCONNECT with any Reason Code but 0x04: no others here',
    statement: 'MQTT-3.14.4-3',
    right: 'haltere',
  },
  {
    name: 'Mosquitto hands a QoS 2 message on at PUBREL, Haltere at PUBLISH: conversations go through to PUBCOMP',
    statement: 'MQTT-4.3.3-8',
    right: 'both',
  },
]
