import { isDeepStrictEqual } from 'node:util'
import { encode } from '../../lib/packets/encoder.ts'
import type { ProtocolLevel, PublishPacket, QoS, SubscriptionRequest, Will } from '../../types/packets.ts'
import type { MessageProperties } from '../../types/properties.ts'
import { matches } from './topic-matching.ts'

/** Written from the standard, with none of the broker's code but its packets: what a Server owes to whom. */

const FOR_EVER = 0xffff_ffff
const MAX_INFLIGHT = 1024 // The default of our broker; a Client's Receive Maximum counts too.

interface Message {
  readonly topic: string
  readonly payload: Buffer
  readonly qos: QoS
  readonly retain: boolean
  readonly properties: MessageProperties | undefined
  readonly publisher: string
  readonly expiresAt: number
}

interface Subscription {
  readonly filter: string
  readonly shareName: string | undefined
  /** What topics are matched with. */
  readonly matchFilter: string
  readonly qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly identifier: number | undefined
}

/** A message for one member of a shared subscription; which one is the Server's choice. */
interface SharedCopy {
  readonly filter: string
  readonly message: Message
  /** Those who may have been chosen. One is left once it is known. */
  readonly candidates: Set<Session>
  /** Nobody may get it: it was at QoS 0 for a member that is away, too large for one, or lost its only member. */
  mayBeLost: boolean
  /** It was about to be sent when the Server ended, so that nobody knows whether it still waits. */
  mayBeSent?: boolean
}

/** One copy of a message for one session. */
interface Delivery {
  readonly message: Message
  readonly qos: QoS
  /** Where subscriptions overlap and disagree about Retain As Published the standard leaves it open. */
  readonly retain: ReadonlySet<boolean>
  readonly identifiers: readonly number[]
  readonly copy: SharedCopy | undefined
  state: 'waiting' | 'publish sent' | 'pubrel due' | 'pubrel sent'
  packetId: number
  /** Sent on the present connection. */
  onWire: boolean
  /** A connection that could not take it had it next, so it may be gone. */
  mayBeGone: boolean
  /** It was about to be sent when the Server ended, so that nobody knows whether it was. */
  mayBeDuplicate: boolean
}

interface Connection {
  readonly level: ProtocolLevel
  readonly quota: number
  readonly maximumPacketSize: number
  readonly sessionExpiry: number
  readonly keepAlive: number
  /** Goes up from one to the next. */
  readonly number: number
  silentSince: number
}

interface Session {
  readonly clientId: string
  readonly subscriptions: Map<string, Subscription>
  /** In the order in which they are due. */
  deliveries: Delivery[]
  /** Packet Identifiers of QoS 2 messages that are not released. */
  readonly incoming: Set<number>
  connection: Connection | undefined
  /** Seconds it outlives its connection. */
  expiry: number
  endsAt: number
  will: Will | undefined
  willAt: number
}

export interface ConnectRequest {
  readonly level: ProtocolLevel
  readonly cleanStart: boolean
  readonly sessionExpiry: number
  readonly receiveMaximum: number | undefined
  readonly maximumPacketSize: number | undefined
  readonly keepAlive: number
  readonly will: Will | undefined
}

/** What the Server did that it must not do, or did not do that it must. */
export class Violation extends Error {}

export class ReferenceServer {
  now = 0
  readonly #sessions = new Map<string, Session>()
  readonly #retained = new Map<string, Message>()
  /** Copies above QoS 0 that no member has been sent. */
  readonly #waitingCopies = new Set<SharedCopy>()
  #connections = 0

  // ─── what Clients do ─────────────────────────────────────────────────────────────────────────────────────────────

  /** Answers Session Present. */
  connect(clientId: string, request: ConnectRequest): boolean {
    this.connectionEnds(clientId, true) // Another connection with this Client Identifier [MQTT-3.1.4-3].
    const stored = this.#sessions.get(clientId)
    if (stored !== undefined && request.cleanStart) this.#endSession(stored) // [MQTT-3.1.2-4]
    const resumed = stored !== undefined && !request.cleanStart ? stored : undefined // [MQTT-3.1.2-5]
    const session: Session = resumed ?? {
      clientId,
      subscriptions: new Map(),
      deliveries: [],
      incoming: new Set(),
      connection: undefined,
      expiry: 0,
      endsAt: Infinity,
      will: undefined,
      willAt: Infinity,
    }
    this.#sessions.set(clientId, session)
    session.connection = {
      level: request.level,
      quota: Math.min(request.receiveMaximum ?? 65_535, MAX_INFLIGHT),
      maximumPacketSize: request.maximumPacketSize ?? Infinity,
      sessionExpiry: request.sessionExpiry,
      keepAlive: request.keepAlive,
      number: (this.#connections += 1),
      silentSince: this.now,
    }
    session.expiry = request.sessionExpiry
    session.endsAt = Infinity
    session.will = request.will // Of the connection before there is none any more [MQTT-3.1.3-9].
    session.willAt = Infinity
    for (const delivery of session.deliveries) {
      delivery.onWire = false
      if (delivery.state === 'pubrel sent') delivery.state = 'pubrel due' // [MQTT-4.4.0-1]
      const { copy, message, qos, state } = delivery
      // It cannot be sent again, so another member may get it.
      const isOfAnyone =
        copy !== undefined && qos === 1 && state === 'publish sent' && !fits(delivery, session.connection)
      if (isOfAnyone)
        this.#offer({ filter: copy.filter, message, candidates: new Set(), mayBeLost: true }, message, session)
    }
    return resumed !== undefined
  }

  /** DISCONNECT; `sessionExpiry` in seconds, when it says one. */
  disconnect(clientId: string, reasonCode: number, sessionExpiry: number | undefined): void {
    const session = this.#sessionOf(clientId)
    if (sessionExpiry !== undefined) session.expiry = sessionExpiry
    this.connectionEnds(clientId, reasonCode !== 0) // [MQTT-3.14.4-3]
  }

  /** However it ends: with a DISCONNECT, without one, or by a new connection of the same Client. */
  connectionEnds(clientId: string, withWill: boolean): void {
    const session = this.#sessions.get(clientId)
    if (session?.connection === undefined) return
    session.connection = undefined
    this.#forget(session, ({ qos, state, copy }) => qos === 0 && state === 'waiting' && copy !== undefined)
    if (!withWill) session.will = undefined
    const delay = session.will?.properties?.willDelayInterval ?? 0
    if (session.will !== undefined) session.willAt = this.now + delay * 1000
    if (session.expiry !== FOR_EVER) session.endsAt = this.now + session.expiry * 1000
    this.#timePasses()
  }

  /** The Server says goodbye to everybody, one after the other, and ends. */
  closes(): void {
    const connected = [...this.#sessions.values()]
      .filter(({ connection }) => connection !== undefined)
      .toSorted((one, other) => (one.connection?.number ?? 0) - (other.connection?.number ?? 0))
    for (const { clientId } of connected) this.connectionEnds(clientId, true)
    for (const session of connected) {
      this.#forget(session, ({ qos, state }) => qos === 0 && state === 'waiting')
      for (const one of session.deliveries) {
        if (one.state !== 'waiting') continue
        one.mayBeDuplicate = true
        if (one.copy !== undefined) one.copy.mayBeSent = true
      }
    }
  }

  /** A Server goes on with what one that ended has stored, knows nobody's connection, and does what is overdue. */
  begins(time: number): void {
    this.now = time
    const lost = [...this.#sessions.values()].filter(({ connection }) => connection !== undefined)
    for (const session of lost) {
      session.connection = undefined
      this.#forget(session, ({ qos, state }) => qos === 0 && state === 'waiting')
      if (session.expiry === 0) this.#mayBeUnknown(session)
      if (session.will !== undefined) session.willAt = time + (session.will.properties?.willDelayInterval ?? 0) * 1000
      if (session.expiry !== FOR_EVER) session.endsAt = time + session.expiry * 1000
    }
    for (const session of lost) this.#passed(session, time)
    const others = [...this.#sessions.values()]
    const moments = others.flatMap(({ willAt, endsAt }) => [willAt, endsAt]).filter((moment) => moment <= time)
    for (const moment of moments.toSorted(byNumber)) for (const session of others) this.#passed(session, moment)
    for (const session of this.#sessions.values()) this.#discard(session)
  }

  /** A session that was to end with its connection may not have been stored. */
  #mayBeUnknown(session: Session): void {
    for (const one of session.deliveries) {
      one.mayBeGone = true
      if (one.copy !== undefined) one.copy.mayBeLost = true
    }
  }

  /** Messages that are gone; of those for a group nobody knows. */
  #forget(session: Session, isGone: (delivery: Delivery) => boolean): void {
    const gone = session.deliveries.filter(isGone)
    session.deliveries = session.deliveries.filter((one) => !isGone(one))
    for (const { copy } of gone) {
      if (copy === undefined || session.deliveries.some((one) => one.copy === copy)) continue
      copy.candidates.delete(session)
      copy.mayBeLost = true
    }
  }

  /** Answers the granted QoS of each [MQTT-3.8.4-6]. */
  subscribe(clientId: string, requests: readonly SubscriptionRequest[], identifier: number | undefined): QoS[] {
    const session = this.#sessionOf(clientId)
    for (const request of requests) {
      const shareName = request.topicFilter.startsWith('$share/') ? request.topicFilter.split('/')[1] : undefined
      const subscription: Subscription = {
        filter: request.topicFilter,
        shareName,
        matchFilter: shareName === undefined ? request.topicFilter : request.topicFilter.split('/').slice(2).join('/'),
        qos: request.qos,
        noLocal: request.noLocal,
        retainAsPublished: request.retainAsPublished,
        identifier,
      }
      const isNew = !session.subscriptions.has(subscription.filter)
      session.subscriptions.set(subscription.filter, subscription) // [MQTT-3.8.4-3]
      const wantsRetained = request.retainHandling === 0 || (request.retainHandling === 1 && isNew)
      if (shareName === undefined && wantsRetained) this.#deliverRetained(session, subscription)
    }
    return requests.map(({ qos }) => qos)
  }

  /** Answers for each whether there was such a subscription. */
  unsubscribe(clientId: string, filters: readonly string[]): boolean[] {
    const session = this.#sessionOf(clientId)
    return filters.map((filter) => {
      const existed = session.subscriptions.delete(filter)
      if (existed) this.#leaveGroup(session, filter)
      return existed
    })
  }

  /** Answers whether somebody is subscribed to it; undefined for a QoS 2 message that came before [MQTT-4.3.3-10]. */
  publish(clientId: string, packet: PublishPacket): boolean | undefined {
    const session = this.#sessionOf(clientId)
    if (packet.qos === 2) {
      if (session.incoming.has(packet.packetId)) return undefined
      session.incoming.add(packet.packetId)
    }
    return this.#distribute(this.#messageOf(clientId, packet))
  }

  /** Answers whether the Packet Identifier was known. */
  pubrel(clientId: string, packetId: number): boolean {
    return this.#sessionOf(clientId).incoming.delete(packetId)
  }

  /** PUBACK, PUBCOMP, or a PUBREC that refuses: the message is delivered as far as the Server is concerned [MQTT-4.4.0-2]. */
  complete(clientId: string, packetId: number): void {
    const session = this.#sessionOf(clientId)
    session.deliveries = session.deliveries.filter((one) => one.state === 'waiting' || one.packetId !== packetId)
  }

  pubrec(clientId: string, packetId: number): void {
    const delivery = this.#sent(this.#sessionOf(clientId), packetId)
    if (delivery !== undefined) delivery.state = 'pubrel due'
  }

  /** A packet of any kind came, so the keep-alive begins anew. */
  heard(clientId: string): void {
    const connection = this.#sessions.get(clientId)?.connection
    if (connection !== undefined) connection.silentSince = this.now
  }

  // ─── time ────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** When a Will or the end of a session is due; Infinity when none is. */
  get nextEvent(): number {
    let next = Infinity
    for (const session of this.#sessions.values())
      if (session.connection === undefined) next = Math.min(next, session.willAt, session.endsAt)
    return next
  }

  /** When a Client will have been silent for too long. */
  get nextSilence(): number {
    let next = Infinity
    for (const { connection } of this.#sessions.values()) {
      if (connection === undefined || connection.keepAlive === 0) continue
      next = Math.min(next, connection.silentSince + connection.keepAlive * 1500)
    }
    return next
  }

  /** Answers who was silent for too long [MQTT-3.1.2-22]. */
  advanceTo(time: number): string[] {
    this.now = time
    const silent: string[] = []
    for (const { clientId, connection } of this.#sessions.values()) {
      if (connection === undefined || connection.keepAlive === 0) continue
      if (connection.silentSince + connection.keepAlive * 1500 <= time) silent.push(clientId)
    }
    for (const clientId of silent) this.connectionEnds(clientId, true)
    this.#timePasses()
    for (const session of this.#sessions.values()) this.#discard(session)
    return silent
  }

  #timePasses(): void {
    for (const session of this.#sessions.values()) {
      if (session.connection === undefined) this.#passed(session, this.now)
    }
  }

  #passed(session: Session, moment: number): void {
    if (session.willAt <= moment) this.#publishWill(session)
    if (session.endsAt <= moment && this.#sessions.get(session.clientId) === session) this.#endSession(session)
  }

  // ─── what the Server does ────────────────────────────────────────────────────────────────────────────────────────

  #sessionOf(clientId: string): Session {
    const session = this.#sessions.get(clientId)
    if (session?.connection === undefined) throw new Error(`${clientId} is not connected`)
    return session
  }

  #sent(session: Session, packetId: number): Delivery | undefined {
    return session.deliveries.find((one) => one.state !== 'waiting' && one.packetId === packetId)
  }

  #messageOf(publisher: string, source: Omit<PublishPacket, 'type' | 'dup' | 'packetId'> | Will): Message {
    const { topic, payload, qos, retain } = source
    const { topicAlias: _, willDelayInterval: __, ...properties } = (source.properties ?? {}) as Record<string, unknown>
    const interval = (properties as MessageProperties).messageExpiryInterval
    return {
      topic,
      payload,
      qos,
      retain,
      properties,
      publisher,
      expiresAt: interval === undefined ? Infinity : this.now + interval * 1000,
    }
  }

  #publishWill(session: Session): void {
    const { will } = session
    session.will = undefined // [MQTT-3.1.2-10]
    session.willAt = Infinity
    if (will !== undefined) this.#distribute(this.#messageOf(session.clientId, will))
  }

  #endSession(session: Session): void {
    this.#sessions.delete(session.clientId)
    for (const filter of session.subscriptions.keys()) this.#leaveGroup(session, filter)
    for (const delivery of session.deliveries) {
      const { copy, message, state } = delivery
      if (copy === undefined) continue
      copy.candidates.delete(session)
      // One at QoS 2 that was begun goes to nobody else [MQTT-4.8.2-5]; one at QoS 1 should.
      if (state !== 'waiting' && delivery.qos === 1) {
        const mayBeLost = !session.subscriptions.has(copy.filter) || delivery.mayBeGone
        this.#offer({ filter: copy.filter, message, candidates: new Set(), mayBeLost }, message)
      }
    }
    session.subscriptions.clear()
    if (session.will !== undefined) this.#publishWill(session) // [MQTT-3.1.2-8]
  }

  /** What waited for a member that leaves goes to another one, or stays with it. */
  #leaveGroup(session: Session, filter: string): void {
    for (const { copy, message, state } of session.deliveries) {
      if (copy === undefined || copy.filter !== filter || state !== 'waiting') continue
      copy.mayBeLost ||= this.#members(filter, session).length === 0
      this.#offer(copy, message, session)
    }
  }

  #members(filter: string, except?: Session): Session[] {
    const members = [...this.#sessions.values()].filter((one) => one.subscriptions.has(filter) && one !== except)
    const connected = members.filter((one) => one.connection !== undefined)
    return connected.length > 0 ? connected : members // Our broker prefers those who are there.
  }

  /** One of the members gets it: each of them may be the one. */
  #offer(copy: SharedCopy, message: Message, except?: Session): void {
    const members = this.#members(copy.filter, except)
    if (members.length === 0 && copy.candidates.size === 0) copy.mayBeLost = true
    if (message.qos > 0) this.#waitingCopies.add(copy)
    for (const session of members) {
      const subscription = session.subscriptions.get(copy.filter) as Subscription
      const qos = Math.min(subscription.qos, message.qos) as QoS // [MQTT-4.8.2-3]
      if (qos === 0 && session.connection === undefined) {
        copy.mayBeLost = true // Unless another member can keep it.
        continue
      }
      this.#mayGet(session, copy, newDelivery(message, qos, [subscription], message.retain, copy))
    }
  }

  #mayGet(session: Session, copy: SharedCopy, delivery: Delivery): void {
    copy.candidates.add(session)
    // A subscription that was replaced meanwhile may have other options.
    const options = ({ qos, retain, identifiers }: Delivery): unknown => ({ qos, retain, identifiers })
    const isKnown = session.deliveries.some(
      (one) => one.copy === copy && isDeepStrictEqual(options(one), options(delivery)),
    )
    if (!isKnown) session.deliveries.push(delivery)
  }

  /** What waits for one member may be taken by any other one, with the options of its own subscription. */
  #mayTake(session: Session): void {
    for (const copy of this.#waitingCopies) {
      const { filter, message } = copy
      const subscription = session.subscriptions.get(filter)
      if (subscription === undefined || copy.candidates.size === 0) continue
      const qos = Math.min(subscription.qos, message.qos) as QoS // [MQTT-4.8.2-3]
      this.#mayGet(session, copy, newDelivery(message, qos, [subscription], message.retain, copy))
    }
  }

  /** Answers whether somebody is subscribed to it. */
  #distribute(message: Message): boolean {
    if (message.retain) {
      if (message.payload.length === 0)
        this.#retained.delete(message.topic) // [MQTT-3.3.1-6]
      else this.#retained.set(message.topic, message) // [MQTT-3.3.1-5]
    }
    let reached = false
    const groups = new Set<string>()
    for (const session of this.#sessions.values()) {
      const matching = [...session.subscriptions.values()].filter((one) => matches(one.matchFilter, message.topic))
      reached ||= matching.length > 0
      for (const { shareName, filter } of matching) if (shareName !== undefined) groups.add(filter)
      const own = matching.filter(
        (one) => one.shareName === undefined && !(one.noLocal && message.publisher === session.clientId), // [MQTT-3.8.3-3]
      )
      if (own.length === 0) continue
      const granted = Math.max(...own.map((one) => one.qos)) // [MQTT-3.3.4-2]
      const qos = Math.min(granted, message.qos) as QoS // [MQTT-3.8.4-8]
      if (qos > 0 || session.connection !== undefined)
        session.deliveries.push(newDelivery(message, qos, own, message.retain, undefined))
    }
    for (const filter of groups) this.#offer({ filter, message, candidates: new Set(), mayBeLost: false }, message)
    return reached
  }

  #deliverRetained(session: Session, subscription: Subscription): void {
    for (const message of this.#retained.values()) {
      if (message.expiresAt <= this.now || !matches(subscription.matchFilter, message.topic)) continue
      if (subscription.noLocal && message.publisher === session.clientId) continue
      const qos = Math.min(subscription.qos, message.qos) as QoS
      const copy = newDelivery(message, qos, [{ ...subscription, retainAsPublished: true }], true, undefined)
      session.deliveries.push(copy) // RETAIN 1 [MQTT-3.3.1-8 of 3.1.1]
    }
  }

  // ─── what Clients see ────────────────────────────────────────────────────────────────────────────────────────────

  /** Throws when this packet is not one that is due. */
  receivedPublish(clientId: string, packet: PublishPacket): void {
    const session = this.#sessionOf(clientId)
    const connection = session.connection as Connection
    this.#mayTake(session)
    if (packet.qos > 0 && inUse(session) >= connection.quota)
      throw new Violation('beyond Receive Maximum [MQTT-3.3.4-9]')
    const isWaiting = (one: Delivery): boolean =>
      packet.dup
        ? (one.state === 'publish sent' && !one.onWire) || (one.state === 'waiting' && one.mayBeDuplicate)
        : one.state === 'waiting'
    const due = session.deliveries.filter((one) => isWaiting(one) && isSame(one.message, packet))
    if (due.length === 0) throw new Violation(`nothing like this is due: ${show(packet)}`)
    const faults = due.map((one) => this.#faultIn(packet, one, connection))
    const fitting = due.filter((_, index) => faults[index] === undefined)
    if (fitting.length === 0) throw new Violation(`${faults.join('; or ')}: ${show(packet)}`)
    // One that is certain, if it can be; or else one that may have been given to somebody else or dropped. A copy of a
    // shared subscription may still be taken by another member, and comes after an own one.
    const inTurn = fitting.filter((one) => this.#overtaken(session, connection, one) === undefined)
    const certain = inTurn.filter((one) => !isMaybe(one))
    const own = certain.find(({ copy, message }) => copy === undefined && message === certain[0]?.message)
    const found = own ?? certain[0] ?? inTurn[0]
    if (found === undefined) throw new Violation(`overtook another one [MQTT-4.6.0-6]: ${show(packet)}`)

    if (packet.qos === 0) session.deliveries = session.deliveries.filter((one) => one !== found)
    else if (!packet.dup && this.#sent(session, packet.packetId) !== undefined)
      throw new Violation(`the Packet Identifier is in use [MQTT-2.2.1-4]: ${show(packet)}`)
    found.state = 'publish sent'
    found.packetId = packet.packetId
    found.onWire = true
    if (found.copy !== undefined) this.#chosen(found.copy, found, session)
  }

  /** What should have come before: the same topic at the same QoS, not through a shared subscription. */
  #overtaken(session: Session, connection: Connection, found: Delivery): Delivery | undefined {
    if (found.copy !== undefined) return undefined
    return session.deliveries
      .slice(0, session.deliveries.indexOf(found))
      .find(
        (one) =>
          isUnsent(one) &&
          one.state !== 'pubrel due' &&
          one.message.topic === found.message.topic &&
          one.qos === found.qos &&
          one.copy === undefined &&
          !one.mayBeGone &&
          fits(one, connection),
      )
  }

  #chosen(copy: SharedCopy, found: Delivery, session: Session): void {
    for (const other of copy.candidates) {
      other.deliveries = other.deliveries.filter((one) => one === found || one.copy !== copy)
    }
    copy.candidates.clear()
    copy.candidates.add(session)
    this.#waitingCopies.delete(copy)
  }

  #faultIn(packet: PublishPacket, due: Delivery, { level }: Connection): string | undefined {
    const { message } = due
    if (packet.qos !== due.qos) return `QoS ${due.qos} was due`
    if (!due.retain.has(packet.retain)) return `RETAIN ${[...due.retain].join(' or ')} was due`
    if (packet.dup && due.state !== 'waiting' && packet.packetId !== due.packetId)
      return `Packet Identifier ${due.packetId} was due [MQTT-4.4.0-1]`
    if (!packet.dup && message.expiresAt <= this.now) return 'it has expired [MQTT-3.3.2-5]'
    if (level !== 5) return undefined
    const {
      messageExpiryInterval: left,
      subscriptionIdentifiers = [],
      topicAlias: _,
      ...properties
    } = packet.properties ?? {}
    const { messageExpiryInterval: given, ...expected } = message.properties ?? {}
    if (!isDeepStrictEqual(properties, expected)) return `${show(expected)} was due`
    if (!isDeepStrictEqual(subscriptionIdentifiers.toSorted(byNumber), due.identifiers))
      return `identifiers ${due.identifiers.join()} were due [MQTT-3.3.4-4]`
    const rest = Math.max((message.expiresAt - this.now) / 1000, 0)
    if (given === undefined ? left !== undefined : left !== Math.floor(rest) && left !== Math.ceil(rest))
      return `${given === undefined ? 'no expiry' : `an expiry of ${rest}`} was due [MQTT-3.3.2-6]`
    return undefined
  }

  receivedPubrel(clientId: string, packetId: number): void {
    const delivery = this.#sent(this.#sessionOf(clientId), packetId)
    if (delivery?.state !== 'pubrel due') throw new Violation(`PUBREL ${packetId} is not due`)
    delivery.state = 'pubrel sent'
    delivery.onWire = true
  }

  /** When every Client has been heard: throws when something is owed that was not sent. */
  settle(): void {
    for (const session of this.#sessions.values()) this.#discard(session)
    for (const session of this.#sessions.values()) {
      const { connection } = session
      if (connection === undefined || inUse(session) >= connection.quota) continue
      for (const { filter, message, candidates, mayBeLost, mayBeSent } of this.#waitingCopies) {
        if (mayBeLost || mayBeSent === true || candidates.size === 0 || !session.subscriptions.has(filter)) continue
        if (message.expiresAt > this.now)
          throw new Violation(`${session.clientId} is idle, and ${show(message)} waits for ${filter}`)
      }
      // Nothing is in the way: what is due has come, and what has not come went to somebody else.
      for (const one of session.deliveries) {
        if (one.state !== 'waiting' || one.copy === undefined || !isMaybe(one)) continue
        one.copy.candidates.delete(session)
        if (one.copy.candidates.size === 0 && !one.copy.mayBeLost)
          throw new Violation(`no member of ${one.copy.filter} got ${show(one.message)}`)
      }
      session.deliveries = session.deliveries.filter(
        (one) => !isUnsent(one) || (!one.mayBeGone && (one.copy?.candidates.has(session) ?? true)),
      )
      const owed = session.deliveries.find(isUnsent)
      if (owed !== undefined)
        throw new Violation(
          `${session.clientId} is owed ${owed.state === 'pubrel due' ? 'PUBREL of ' : ''}${show(owed.message)} at QoS ${owed.qos}`,
        )
    }
  }

  /** Forgets what has expired and what this Client cannot take. */
  #discard(session: Session): void {
    const { connection } = session
    session.deliveries = session.deliveries.filter((one) => {
      if (one.onWire || one.state === 'pubrel due') return true
      const isExpired = one.state === 'waiting' && one.message.expiresAt <= this.now // [MQTT-3.3.2-5]
      const isTooLarge = connection !== undefined && !fits(one, connection) // [MQTT-3.1.2-25]
      if (!isExpired && !isTooLarge) return true
      if (one.copy !== undefined) one.copy.mayBeLost = true
      one.mayBeGone = true
      if (isExpired && one.mayBeDuplicate) return true // Perhaps it was sent before.
      if (!isExpired && connection !== undefined && inUse(session) >= connection.quota) return true // Not its turn yet.
      one.copy?.candidates.delete(session)
      const { copy, message } = one
      // Another member may take it.
      if (isTooLarge && copy !== undefined && this.#waitingCopies.has(copy)) this.#offer(copy, message, session)
      return false
    })
  }
}

function newDelivery(
  message: Message,
  qos: QoS,
  subscriptions: readonly Subscription[],
  retain: boolean,
  copy: SharedCopy | undefined,
): Delivery {
  return {
    message,
    qos,
    retain: new Set(subscriptions.map((one) => one.retainAsPublished && retain)), // [MQTT-3.3.1-12] [MQTT-3.3.1-13]
    identifiers: subscriptions
      .map((one) => one.identifier)
      .filter((one) => one !== undefined)
      .toSorted(byNumber),
    copy,
    state: 'waiting',
    packetId: 0,
    onWire: false,
    mayBeGone: false,
    mayBeDuplicate: false,
  }
}

function byNumber(one: number, other: number): number {
  return one - other
}

/** The send quota in use (section 4.9). */
function inUse(session: Session): number {
  return session.deliveries.filter((one) => one.onWire).length
}

function isUnsent(delivery: Delivery): boolean {
  return delivery.state === 'waiting' || delivery.state === 'pubrel due' || !delivery.onWire
}

/** Whether it may have gone to another member of its group, or to nobody. */
function isMaybe({ copy, state, mayBeGone }: Delivery): boolean {
  return mayBeGone || (state === 'waiting' && copy !== undefined && (copy.candidates.size > 1 || copy.mayBeLost))
}

function isSame(message: Message, packet: PublishPacket): boolean {
  return message.topic === packet.topic && message.payload.equals(packet.payload)
}

function fits({ message, qos, identifiers }: Delivery, { level, maximumPacketSize }: Connection): boolean {
  const properties = { ...message.properties, ...(identifiers.length > 0 && { subscriptionIdentifiers: identifiers }) }
  const { topic, payload } = message
  const packet = { type: 'publish', topic, payload, qos, retain: false, dup: false, packetId: 1, properties } as const
  return encode(packet, level).length <= maximumPacketSize
}

function show(value: object): string {
  return JSON.stringify(value, (_, part: unknown) =>
    typeof part === 'object' && part !== null && 'type' in part && part.type === 'Buffer'
      ? Buffer.from((part as unknown as { data: number[] }).data).toString()
      : part,
  )
}
