import type { Packet, PubackPacket } from '../../types/packets.ts'
import { CLIENTS, type Command, type ConnectCommand, type PublishCommand } from '../model/commands.ts'
import { connectPacket, filterFor, Participant, publishPacket, sessionExpiryOf, willOf } from '../model/conversation.ts'
import { FencedClient } from '../model/fenced-client.ts'
import type { Server } from './servers.ts'

/** What one Client saw after one command. */
export interface Seen {
  readonly packets: readonly Packet[]
  /** The Server ended the connection. */
  readonly closed: boolean
}

/** One of the two brokers, with its own Clients, who all do as they are told. */
export class Side implements AsyncDisposable {
  readonly #server: Server
  readonly participants: readonly Participant[] = Array.from({ length: CLIENTS }, (_, index) => new Participant(index))

  constructor(server: Server) {
    this.#server = server
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { link } of this.participants) await link?.drop()
    await this.#server[Symbol.asyncDispose]()
  }

  /** Does it, waits until everybody has all that comes of it, and answers what they saw; nothing when it is not possible. */
  async perform(command: Command, payload: string): Promise<readonly Seen[] | undefined> {
    if (command.do === 'wait' || command.do === 'restart') return undefined
    const actor = this.participants[command.client] as Participant
    const before = command.do === 'connect' ? await this.#connect(actor, command, payload) : []
    if (command.do !== 'connect' && !(await this.#act(actor, command, payload))) return undefined
    await actor.link?.fence()
    // Twice: a connection that ended may be noticed only after the questions that came at the same time.
    for (let round = 0; round < 2; round += 1) {
      await Promise.all(this.participants.map(async ({ link }) => link?.fence()))
    }
    return this.participants.map((participant) => this.#seenBy(participant, participant === actor ? before : []))
  }

  /** Ends the connection of one whom the other broker has ended. */
  async giveUp(client: number): Promise<void> {
    const participant = this.participants[client]
    await participant?.link?.drop()
    participant?.connectionEnded()
  }

  #seenBy(participant: Participant, before: readonly Packet[]): Seen {
    const { link, toAnswer } = participant
    const packets = link?.taken() ?? []
    for (const packet of packets) {
      if (packet.type === 'pubrel' || (packet.type === 'publish' && packet.qos > 0)) toAnswer.push(packet)
    }
    return { packets: [...before, ...packets], closed: link?.isClosed === true }
  }

  async #connect(actor: Participant, command: ConnectCommand, payload: string): Promise<readonly Packet[]> {
    const previous = actor.link
    const link = new FencedClient(await this.#server.connect(), command.level)
    const will = command.will && willOf(command.will, `will of ${payload}`, command.level)
    link.send(connectPacket(command, actor.clientId, will))
    await link.connack()
    await previous?.closed
    actor.connectionEnded()
    actor.link = link
    actor.sessionExpiry = sessionExpiryOf(command)
    return previous?.taken() ?? []
  }

  async #act(actor: Participant, command: Exclude<Command, ConnectCommand>, payload: string): Promise<boolean> {
    const { link } = actor
    if (link === undefined) return false
    const isNew = link.level === 5
    switch (command.do) {
      case 'drop':
        await link.drop()
        actor.connectionEnded()
        return true
      case 'disconnect': {
        const { sessionExpiry } = command
        const mayKeep = actor.sessionExpiry > 0 || sessionExpiry === 0
        const properties =
          isNew && mayKeep && sessionExpiry !== undefined ? { sessionExpiryInterval: sessionExpiry } : undefined
        link.send({ type: 'disconnect', reasonCode: isNew ? command.reasonCode : 0, properties })
        await link.closed
        actor.connectionEnded()
        return true
      }
      case 'subscribe': {
        const subscriptions = command.subscriptions.map((plan) => ({
          topicFilter: filterFor(actor, plan.filter),
          qos: plan.qos,
          noLocal: isNew && plan.noLocal && !plan.filter.startsWith('$share/'),
          retainAsPublished: isNew && plan.retainAsPublished,
          retainHandling: isNew ? plan.retainHandling : (0 as const),
        }))
        const properties =
          isNew && command.identifier !== undefined ? { subscriptionIdentifier: command.identifier } : undefined
        link.send({ type: 'subscribe', packetId: actor.newPacketId(), subscriptions, properties })
        return true
      }
      case 'unsubscribe': {
        const topicFilters = command.filters.map((filter) => filterFor(actor, filter))
        link.send({ type: 'unsubscribe', packetId: actor.newPacketId(), topicFilters, properties: undefined })
        return true
      }
      case 'publish':
        await this.#publish(actor, link, command, payload)
        return true
      case 'acknowledge':
        return acknowledge(actor, link, command.refuse)
      default:
        return false
    }
  }

  /** A QoS 2 message goes through to its end: Servers may hand it on at PUBLISH or at PUBREL (section 4.3.3). */
  async #publish(actor: Participant, link: FencedClient, command: PublishCommand, payload: string): Promise<void> {
    const packet = publishPacket(command, actor, payload)
    link.send(packet)
    if (packet.qos !== 2) return
    await link.fence()
    link.send({ type: 'pubrel', packetId: packet.packetId, reasonCode: 0, properties: undefined })
  }
}

/** Answers all that is not answered, so that the order of what came makes no difference. */
function acknowledge(actor: Participant, link: FencedClient, refuse: boolean): boolean {
  const toAnswer = actor.toAnswer.splice(0)
  for (const packet of toAnswer) {
    if (packet.type !== 'publish' && packet.type !== 'pubrel') continue
    const refused = refuse && link.level === 5 && packet.type === 'publish'
    const type: PubackPacket['type'] | 'pubrec' | 'pubcomp' =
      packet.type === 'pubrel' ? 'pubcomp' : packet.qos === 1 ? 'puback' : 'pubrec'
    link.send({ type, packetId: packet.packetId, reasonCode: refused ? 0x80 : 0, properties: undefined })
  }
  return toAnswer.length > 0
}
