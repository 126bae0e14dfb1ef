/** Publishers and subscribers of one load process in closed loops. */
import { setTimeout as delay } from 'node:timers/promises'
import { Client, connectAll } from './client.ts'
import { Flow } from './flow.ts'
import { type Faults, faultsOf, Ledger } from './ledger.ts'
import type { Qos, Version } from './packets.ts'
import { Publisher } from './publisher.ts'

export interface TrafficPlan {
  readonly port: number
  /** Prefix of the Client Identifiers, for several plans on one broker. */
  readonly clientPrefix?: string
  readonly publishers: number
  readonly subscribers: number
  /** The Topic Name of each publisher. */
  readonly topic: (publisher: number) => string
  /** The Topic Filter of each subscriber. */
  readonly filter: (subscriber: number) => string
  /** Number of subscribers that receive each message. */
  readonly receivers: number
  readonly qos: Qos
  readonly window: number
  readonly payloadBytes?: number
  readonly version?: Version
  readonly webSocket?: boolean
  /** Whether sessions outlive their connections, so that a store has to record them. */
  readonly persistent?: boolean
  readonly useTopicAlias?: boolean
  /** Called with the latency of each delivery in milliseconds. */
  readonly onLatency?: (milliseconds: number) => void
}

const DEFAULT_PAYLOAD_BYTES = 128

export class Traffic {
  readonly flows: Flow[] = []
  readonly subscribers: Client[] = []
  failure: string | undefined
  readonly #ledgers: Ledger[] = []
  readonly #touched: Flow[] = []
  #timer: NodeJS.Timeout | undefined

  static async open(plan: TrafficPlan): Promise<Traffic> {
    const traffic = new Traffic()
    await traffic.#subscribe(plan)
    await traffic.#connectPublishers(plan)
    return traffic
  }

  async #subscribe(plan: TrafficPlan): Promise<void> {
    const { port, version = 4, webSocket = false, persistent = false, clientPrefix = '' } = plan
    const clients = await connectAll(plan.subscribers, (index) => ({
      port,
      version,
      webSocket,
      cleanStart: !persistent,
      clientId: `${clientPrefix}sub-${index}`,
    }))
    for (const [index, client] of clients.entries()) {
      const ledger = new Ledger(plan.publishers)
      this.#ledgers.push(ledger)
      client.onMessage = this.#receiver(ledger, plan.onLatency)
      client.onChunk = () => this.#advanceTouched()
      await client.subscribe([plan.filter(index)], plan.qos)
      client.onClose = (why) => this.#fail(`subscriber ${index}: ${why}`)
    }
    this.subscribers.push(...clients)
  }

  async #connectPublishers(plan: TrafficPlan): Promise<void> {
    const { port, qos, window, receivers, version = 4, webSocket = false, persistent = false } = plan
    const { clientPrefix = '' } = plan
    const clients = await connectAll(plan.publishers, (index) => ({
      port,
      version,
      webSocket,
      cleanStart: !persistent,
      clientId: `${clientPrefix}pub-${index}`,
    }))
    for (const [stream, client] of clients.entries()) {
      const publisher = new Publisher(client, {
        topic: plan.topic(stream),
        payloadBytes: plan.payloadBytes ?? DEFAULT_PAYLOAD_BYTES,
        qos,
        stream,
        window,
        useTopicAlias: plan.useTopicAlias === true,
      })
      const flow = new Flow(publisher, { qos, window, receivers })
      this.flows.push(flow)
      if (qos > 0) client.onChunk = () => flow.advance()
      client.onClose = (why) => this.#fail(`publisher ${stream}: ${why}`)
    }
  }

  #receiver(ledger: Ledger, onLatency: ((milliseconds: number) => void) | undefined): Client['onMessage'] {
    return (bytes, payload) => {
      const stream = bytes.readUInt32BE(payload)
      ledger.take(stream, bytes.readUInt32BE(payload + 4))
      if (onLatency !== undefined) onLatency(performance.now() - bytes.readDoubleBE(payload + 8))
      const flow = this.flows[stream]!
      flow.delivered += 1
      if (flow.touched) return
      flow.touched = true
      this.#touched.push(flow)
    }
  }

  #advanceTouched(): void {
    for (const flow of this.#touched) {
      flow.touched = false
      flow.advance()
    }
    this.#touched.length = 0
  }

  #fail(why: string): void {
    this.failure ??= why
  }

  get received(): number {
    return this.#ledgers.reduce((total, ledger) => total + ledger.received, 0)
  }

  get acknowledged(): number {
    return this.flows.reduce((total, flow) => total + flow.publisher.client.acknowledged, 0)
  }

  start(): void {
    for (const flow of this.flows) {
      flow.running = true
      flow.advance()
    }
    this.#timer = setInterval(() => {
      for (const flow of this.flows) flow.unstick()
    }, 2_000)
  }

  /** Stops sending and waits up to three seconds for messages in transit. */
  async finish(): Promise<Faults> {
    clearInterval(this.#timer)
    for (const flow of this.flows) flow.running = false
    const expected = this.flows.reduce((total, flow) => total + flow.expected, 0)
    const deadline = performance.now() + 3_000
    while (this.received < expected && this.failure === undefined && performance.now() < deadline) await delay(10)
    return faultsOf(this.#ledgers, expected)
  }

  close(): void {
    for (const client of this.subscribers) client.destroy()
    for (const flow of this.flows) flow.publisher.client.destroy()
  }
}
