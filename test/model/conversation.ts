import { once } from 'node:events'
import { Broker } from '../../lib/index.ts'
import { MemoryPersistence } from '../../lib/storage/memory/memory-persistence.ts'
import type { ConnectPacket, Packet, PublishPacket, Will } from '../../types/packets.ts'
import {
  CLIENTS,
  type Command,
  type ConnectCommand,
  type PublishCommand,
  type RestartCommand,
  shareNameOf,
  type WillPlan,
} from './commands.ts'
import { Access } from '../broker/process.ts'
import { patienceMs } from '../support/patience.ts'
import { ManualClock, ProcessClock } from '../support/clock.ts'
import { ReferenceServer, Violation } from './reference-server.ts'
import { FencedClient } from './fenced-client.ts'

/** What a Client has sent and not yet seen acknowledged. */
interface Sent {
  readonly packet: PublishPacket
  state: 'publish' | 'acknowledgement lost' | 'pubrel due' | 'pubrel lost'
}

/** A Client as its user sees it: its connection when there is one, and its side of the session. */
export class Participant {
  readonly clientId: string
  readonly index: number
  link: FencedClient | undefined
  sessionExpiry = 0
  /** Its own messages that are not complete, by Packet Identifier. */
  readonly sent: Map<number, Sent> = new Map()
  /** What it has to answer: PUBLISH and PUBREL, in the order in which they came. */
  readonly toAnswer: Packet[] = []
  readonly aliases: Map<string, number> = new Map()
  #lastPacketId = 0

  constructor(index: number) {
    this.index = index
    this.clientId = `client${index}`
  }

  newPacketId(): number {
    do this.#lastPacketId = (this.#lastPacketId % 65_535) + 1
    while (this.sent.has(this.#lastPacketId))
    return this.#lastPacketId
  }

  connectionEnded(): void {
    this.link = undefined
    this.toAnswer.length = 0
    this.aliases.clear()
  }
}

export function willOf(plan: WillPlan, payload: string, level: number): Will {
  const properties = {
    ...(plan.delay > 0 && { willDelayInterval: plan.delay }),
    ...(plan.expiry !== undefined && { messageExpiryInterval: plan.expiry }),
  }
  const { topic, qos, retain } = plan
  return { topic, qos, retain, payload: Buffer.from(payload), properties: level === 5 ? properties : undefined }
}

/** Seconds that the session outlives its connection, as the Server understands this CONNECT. */
export function sessionExpiryOf(command: ConnectCommand): number {
  if (command.level === 5) return command.sessionExpiry
  return command.clean ? 0 : 0xffff_ffff
}

function keepAliveOf({ keepAlive, client }: ConnectCommand): number {
  return keepAlive ? 10 + client : 0
}

export function connectPacket(command: ConnectCommand, clientId: string, will: Will | undefined): ConnectPacket {
  const { level, sessionExpiry, receiveMaximum, maximumPacketSize, topicAliasMaximum } = command
  return {
    type: 'connect',
    protocolLevel: level,
    cleanStart: command.clean,
    keepAlive: keepAliveOf(command),
    clientId,
    will,
    username: undefined,
    password: undefined,
    properties: {
      ...(sessionExpiry > 0 && { sessionExpiryInterval: sessionExpiry }),
      ...(receiveMaximum !== undefined && { receiveMaximum }),
      ...(maximumPacketSize !== undefined && { maximumPacketSize }),
      ...(topicAliasMaximum > 0 && { topicAliasMaximum }),
    },
  }
}

export function publishPacket(command: PublishCommand, participant: Participant, payload: string): PublishPacket {
  const { topic, qos, retain } = command
  return {
    type: 'publish',
    topic,
    payload: Buffer.from(
      command.payload === 'none' ? '' : command.payload === 'long' ? payload.padEnd(100, '.') : payload,
    ),
    qos,
    retain,
    dup: false,
    packetId: qos === 0 ? 0 : participant.newPacketId(),
    properties: participant.link?.level === 5 ? command.properties : undefined,
  }
}

/** The Topic Filter with the ShareName of the group that this Client may join. */
export function filterFor(participant: Participant, filter: string): string {
  return filter.replace('*', shareNameOf(participant.index))
}

/** The same commands done to the broker and to the model, and all that the broker answers shown to the model. */
export class Conversation implements AsyncDisposable {
  executed = 0
  readonly #clock = new ManualClock(0)
  #broker: Broker
  /** What outlives the broker, when something does. */
  readonly #disk: MemoryPersistence | undefined
  #access: Access | undefined
  #process: ProcessClock | undefined
  readonly #model = new ReferenceServer()
  readonly #participants = Array.from({ length: CLIENTS }, (_, index) => new Participant(index))
  #messages = 0
  #fault: Error | undefined

  constructor(isStored = false) {
    this.#disk = isStored ? new MemoryPersistence() : undefined
    this.#broker = this.#start()
  }

  #start(): Broker {
    this.#access = this.#disk && new Access(this.#disk)
    this.#process = new ProcessClock(this.#clock)
    const broker = new Broker({
      clock: this.#process,
      sysInterval: false,
      ...(this.#access && { persistence: this.#access }),
    })
    broker.on('error', (error) => (this.#fault = error))
    broker.on('clientError', (error) => (this.#fault ??= error.message.includes('keep') ? undefined : error))
    return broker
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = this.#broker.close({ graceMs: 1 })
    for (const { link } of this.#participants) await link?.drop()
    this.#clock.advanceTo(this.#clock.now() + 10_000)
    await closed
  }

  async run(commands: readonly Command[]): Promise<void> {
    for (const command of commands) {
      if (await within(this.#do(command))) this.executed += 1
      if (this.#fault !== undefined) throw this.#fault
    }
  }

  /** Answers whether it could be done. */
  async #do(command: Command): Promise<boolean> {
    if (command.do === 'wait') {
      await this.#wait(command.milliseconds)
      return true
    }
    if (command.do === 'restart') {
      await this.#restart(command)
      return true
    }
    const participant = this.#participants[command.client] as Participant
    if (command.do === 'connect') {
      await this.#connect(participant, command)
      return true
    }
    const { link, clientId } = participant
    if (link === undefined) return false
    const answers: Packet[] = []
    switch (command.do) {
      case 'drop': {
        const gone = once(this.#broker, 'clientDisconnected')
        await link.drop()
        await gone
        participant.connectionEnded()
        this.#model.connectionEnds(clientId, true)
        break
      }
      case 'disconnect':
        await this.#disconnect(participant, link, command)
        break
      case 'subscribe': {
        const isNew = link.level === 5
        const subscriptions = command.subscriptions.map((plan) => ({
          topicFilter: filterFor(participant, plan.filter),
          qos: plan.qos,
          noLocal: isNew && plan.noLocal && !plan.filter.startsWith('$share/'), // [MQTT-3.8.3-4]
          retainAsPublished: isNew && plan.retainAsPublished,
          retainHandling: isNew ? plan.retainHandling : (0 as const),
        }))
        const identifier = isNew ? command.identifier : undefined
        const packetId = participant.newPacketId()
        const properties = identifier === undefined ? undefined : { subscriptionIdentifier: identifier }
        link.send({ type: 'subscribe', packetId, subscriptions, properties })
        const reasonCodes = this.#model.subscribe(clientId, subscriptions, identifier)
        answers.push({ type: 'suback', packetId, reasonCodes, properties: undefined })
        break
      }
      case 'unsubscribe': {
        const topicFilters = command.filters.map((filter) => filterFor(participant, filter))
        const packetId = participant.newPacketId()
        link.send({ type: 'unsubscribe', packetId, topicFilters, properties: undefined })
        const existed = this.#model.unsubscribe(clientId, topicFilters)
        const reasonCodes = link.level === 5 ? existed.map((one) => (one ? 0x00 : 0x11)) : []
        answers.push({ type: 'unsuback', packetId, reasonCodes, properties: undefined })
        break
      }
      case 'publish':
        answers.push(...this.#publish(participant, link, command))
        break
      case 'release': {
        const due = [...participant.sent.values()].filter(({ state }) => state === 'pubrel due')
        if (due.length === 0) return false
        for (const { packet } of due.slice(0, command.count))
          answers.push(this.#release(participant, link, packet.packetId))
        break
      }
      case 'acknowledge': {
        const toAnswer = participant.toAnswer.splice(0, command.count)
        if (toAnswer.length === 0) return false
        for (const packet of toAnswer) this.#acknowledge(clientId, link, packet, command.refuse)
        break
      }
    }
    await this.#compare(participant, answers)
    return true
  }

  async #connect(participant: Participant, command: ConnectCommand): Promise<void> {
    const { clientId } = participant
    const before = participant.link
    const link = new FencedClient(this.#broker.connect(), command.level)
    this.#messages += 1
    const will = command.will && willOf(command.will, `will${this.#messages}`, command.level)
    link.send(connectPacket(command, clientId, will))
    const isNew = command.level === 5
    const sessionExpiry = sessionExpiryOf(command)
    const sessionPresent = this.#model.connect(clientId, {
      level: command.level,
      cleanStart: command.clean,
      sessionExpiry,
      receiveMaximum: isNew ? command.receiveMaximum : undefined,
      maximumPacketSize: isNew ? command.maximumPacketSize : undefined,
      keepAlive: keepAliveOf(command),
      will,
    })
    await link.connack()
    if (before !== undefined) {
      await before.closed
      checkGoodbye(before, 0x8e)
      participant.connectionEnded()
    }
    participant.link = link
    participant.sessionExpiry = sessionExpiry
    if (!sessionPresent) participant.sent.clear()
    const isTold = sessionPresent && command.level !== 3 // A reserved byte in MQTT 3.1.
    const answers: Packet[] = [{ type: 'connack', sessionPresent: isTold, reasonCode: 0, properties: undefined }]
    for (const sent of participant.sent.values()) answers.push(this.#sendAgain(participant, link, sent))
    await this.#compare(participant, answers)
  }

  /** On a resumed session a Client sends again what it did not see acknowledged [MQTT-4.4.0-1]. */
  #sendAgain(participant: Participant, link: FencedClient, sent: Sent): Packet {
    const { packetId } = sent.packet
    if (sent.state === 'pubrel due') return this.#release(participant, link, packetId)
    const properties = link.level === 5 ? sent.packet.properties : undefined
    const packet = { ...sent.packet, properties, dup: true }
    link.send(packet)
    sent.state = 'pubrel due'
    if (packet.qos === 1) participant.sent.delete(packetId)
    return this.#published(participant, link, packet)
  }

  async #disconnect(
    participant: Participant,
    link: FencedClient,
    command: { reasonCode: number; sessionExpiry: number | undefined },
  ): Promise<void> {
    const isNew = link.level === 5
    const reasonCode = isNew ? command.reasonCode : 0
    const mayKeep = participant.sessionExpiry > 0 || command.sessionExpiry === 0 // Section 3.14.2.2.2.
    const sessionExpiry = isNew && mayKeep ? command.sessionExpiry : undefined
    const properties = sessionExpiry === undefined ? undefined : { sessionExpiryInterval: sessionExpiry }
    link.send({ type: 'disconnect', reasonCode, properties })
    await link.closed
    checkGoodbye(link, undefined)
    participant.connectionEnded()
    this.#model.disconnect(participant.clientId, reasonCode, sessionExpiry)
  }

  #publish(participant: Participant, link: FencedClient, command: PublishCommand): Packet[] {
    this.#messages += 1
    const packet = publishPacket(command, participant, `m${this.#messages}`)
    link.send(link.level === 5 && command.alias ? withAlias(participant, packet) : packet)
    if (packet.qos > 0 && (packet.qos === 2 || command.lost)) {
      participant.sent.set(packet.packetId, { packet, state: command.lost ? 'acknowledgement lost' : 'pubrel due' })
    }
    const answer = this.#published(participant, link, packet)
    return packet.qos === 0 ? [] : [answer]
  }

  /** The acknowledgement that is due. */
  #published(participant: Participant, link: FencedClient, packet: PublishPacket): Packet {
    const reached = this.#model.publish(participant.clientId, packet)
    const reasonCode = reached === false && link.level === 5 ? 0x10 : 0x00
    return {
      type: packet.qos === 1 ? 'puback' : 'pubrec',
      packetId: packet.packetId,
      reasonCode,
      properties: undefined,
    }
  }

  #release(participant: Participant, link: FencedClient, packetId: number): Packet {
    link.send({ type: 'pubrel', packetId, reasonCode: 0, properties: undefined })
    participant.sent.delete(packetId)
    const known = this.#model.pubrel(participant.clientId, packetId)
    const reasonCode = known || link.level !== 5 ? 0x00 : 0x92
    return { type: 'pubcomp', packetId, reasonCode, properties: undefined }
  }

  #acknowledge(clientId: string, link: FencedClient, packet: Packet, refuse: boolean): void {
    if (packet.type !== 'publish' && packet.type !== 'pubrel') return
    const { packetId } = packet
    const refused = refuse && link.level === 5 && packet.type === 'publish'
    const reasonCode = refused ? 0x80 : 0x00
    const type = packet.type === 'pubrel' ? 'pubcomp' : packet.qos === 1 ? 'puback' : 'pubrec'
    link.send({ type, packetId, reasonCode, properties: undefined })
    if (type === 'pubrec' && !refused) this.#model.pubrec(clientId, packetId)
    else this.#model.complete(clientId, packetId)
  }

  /** Time goes on, from one thing that happens by itself to the next. */
  async #wait(milliseconds: number): Promise<void> {
    const end = this.#clock.now() + milliseconds
    while (this.#clock.now() < end) {
      const { nextEvent, nextSilence } = this.#model
      // Whether a Client that is sent a Will just when it has been silent for too long is ended at once is left open:
      // it says something before.
      const next = Math.min(nextEvent, nextSilence === nextEvent ? nextSilence - 1 : nextSilence, end)
      this.#clock.advanceTo(next)
      const silent = this.#model.advanceTo(next)
      for (const participant of this.#participants) {
        if (!silent.includes(participant.clientId)) continue
        await participant.link?.closed
        if (participant.link !== undefined) checkGoodbye(participant.link, 0x8d)
        participant.connectionEnded()
      }
      await this.#compare(undefined, [])
    }
  }

  /** One broker ends and another one begins. */
  async #restart({ how, milliseconds }: RestartCommand): Promise<void> {
    const connected = this.#participants.filter(({ link }) => link !== undefined)
    if (how === 'close') {
      await this.#broker.close({ graceMs: 1000 })
      this.#process?.end()
    } else {
      this.#process?.end()
      if (this.#access !== undefined) this.#access.isDead = true
      await Promise.all(connected.map(async ({ link }) => link?.drop()))
      void this.#broker.close({ graceMs: 0 })
    }
    for (const participant of connected) {
      const { link } = participant
      // A Will that was sent while this Client's turn had not come yet is its to have, or not.
      const last = link?.taken().at(-1)
      const isTold = last?.type === 'disconnect' && last.reasonCode === 0x8b
      if (link?.level === 5 && isTold !== (how === 'close'))
        throw new Violation(`${show(last)} was the last that ${participant.clientId} got of a Server that ends`)
      participant.connectionEnded()
    }
    if (how === 'close') this.#model.closes()
    this.#clock.advanceTo(this.#clock.now() + milliseconds)
    this.#model.begins(this.#clock.now())
    this.#broker = this.#start()
    await this.#compare(undefined, [])
  }

  /** Until nothing more comes: what waits for the store comes after the answer to a PINGREQ. */
  async #stored(connected: readonly Participant[]): Promise<void> {
    const access = this.#access
    if (access === undefined) return
    for (let before = -1; before !== access.count; ) {
      before = access.count
      for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve))
      await Promise.all(connected.map(async ({ link }) => link?.fence()))
    }
  }

  /** Hears every Client out and shows the model what came. `answers` are due to the one who acted. */
  async #compare(actor: Participant | undefined, answers: readonly Packet[]): Promise<void> {
    await actor?.link?.fence() // Only now everybody else's messages are on their way.
    const connected = this.#participants.filter(({ link }) => link !== undefined)
    await Promise.all(connected.map(async ({ link }) => link?.fence()))
    await this.#stored(connected)
    for (const participant of connected) {
      this.#model.heard(participant.clientId)
      const others: Packet[] = []
      for (const packet of participant.link?.taken() ?? []) {
        if (packet.type === 'connack' && (others.length > 0 || participant.toAnswer.length > 0))
          throw new Violation('CONNACK is not the first packet [MQTT-3.2.0-1]')
        if (packet.type === 'publish') this.#model.receivedPublish(participant.clientId, packet)
        else if (packet.type === 'pubrel') this.#model.receivedPubrel(participant.clientId, packet.packetId)
        else others.push(packet)
        if (packet.type === 'pubrel' || (packet.type === 'publish' && packet.qos > 0)) participant.toAnswer.push(packet)
      }
      checkAnswers(participant.clientId, others, participant === actor ? answers : [])
      if (participant.link?.isClosed === true)
        throw new Violation(`the connection of ${participant.clientId} was closed`)
    }
    this.#model.settle()
  }
}

/** So that an answer that does not come is a failure, not an end without a word. */
async function within<T>(promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Violation('no answer came')), patienceMs)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

function withAlias(participant: Participant, packet: PublishPacket): PublishPacket {
  const known = participant.aliases.get(packet.topic)
  const topicAlias = known ?? participant.aliases.size + 1
  participant.aliases.set(packet.topic, topicAlias)
  return { ...packet, topic: known === undefined ? packet.topic : '', properties: { ...packet.properties, topicAlias } }
}

function checkAnswers(clientId: string, came: readonly Packet[], due: readonly Packet[]): void {
  const [left, right] = [came.map(shown), due.map(shown)]
  if (left.join() !== right.join()) throw new Violation(`${clientId} got ${left.join()} where ${right.join()} was due`)
}

function show(packet: Packet | undefined): string {
  return packet === undefined ? 'nothing' : shown(packet)
}

/** A packet without its Properties. */
export function shown(packet: Packet): string {
  return JSON.stringify({ ...packet, properties: undefined })
}

/** The last packet on a connection that the Server ended [MQTT-3.1.4-3]; MQTT 3 has none. */
function checkGoodbye(link: FencedClient, reasonCode: number | undefined): void {
  const due = link.level === 5 && reasonCode !== undefined ? [`disconnect ${reasonCode}`] : []
  const came = link
    .taken()
    .map((packet) => (packet.type === 'disconnect' ? `disconnect ${packet.reasonCode}` : packet.type))
  if (came.join() !== due.join())
    throw new Violation(`the connection ended with ${came.join()} where ${due.join()} was due`)
}
