/** The delays of a program's own timers while the embedded broker is under full load. */
import { setTimeout as delay } from 'node:timers/promises'
import { Client } from '../load/client.ts'
import { publishPacket } from '../load/packets.ts'
import { Traffic } from '../load/traffic.ts'
import { until } from '../load/until.ts'
import { ANSWER, ASK, INTERVAL_MS } from '../peers/host-topics.ts'
import { fanOut, pairs, type Shape } from './streams.ts'
import type { Figure, Outcome, Scale, Target, Work } from './work.ts'

interface Load extends Shape {
  readonly title: string
  readonly qos: 0 | 1
  readonly window: number
}

const loads: Record<string, Load> = {
  pairs0: { title: '50 pairs at QoS 0', ...pairs(50), qos: 0, window: 10 },
  pairs1: { title: '50 pairs at QoS 1', ...pairs(50), qos: 1, window: 10 },
  fanOut0: { title: '1 to 1000 at QoS 0', ...fanOut, qos: 0, window: 4 },
  fanOut1: { title: '1 to 1000 at QoS 1', ...fanOut, qos: 1, window: 4 },
}

/** Delays in milliseconds. */
interface Lateness {
  readonly p99: number
  readonly max: number
}

/** Queries the delays of the program's timer since the previous query. */
class Enquirer {
  readonly #client: Client
  #answer: Lateness | undefined

  private constructor(client: Client) {
    this.#client = client
    client.onMessage = (bytes, payload) => {
      this.#answer = { p99: bytes.readDoubleBE(payload), max: bytes.readDoubleBE(payload + 8) }
    }
  }

  static async connect(port: number): Promise<Enquirer> {
    const client = await Client.connect({ port, clientId: 'enquirer' })
    const enquirer = new Enquirer(client)
    await client.subscribe([ANSWER], 0)
    return enquirer
  }

  async ask(): Promise<Lateness> {
    this.#answer = undefined
    this.#client.write(publishPacket({ topic: ASK, qos: 0, payloadBytes: 0, version: 4, packetId: 0, stream: 0 }))
    await until(() => this.#answer !== undefined, 5)
    if (this.#answer === undefined) throw new Error('the program did not answer within 5 s')
    return this.#answer
  }

  close(): void {
    this.#client.destroy()
  }
}

const figuresOf = (key: string, title: string): [string, Figure][] => [
  [`${key}P99`, { title: `${title}: lateness, 99th percentile`, unit: 'ms', better: 'less' }],
  [`${key}Max`, { title: `${title}: lateness, most`, unit: 'ms', better: 'less' }],
]

async function run(target: Target, scale: Scale): Promise<Outcome> {
  const { port } = target
  const enquirer = await Enquirer.connect(port)
  const figures: Record<string, number> = {}
  const faults = { missing: 0, repeated: 0, jumps: 0 }
  for (const [key, load] of Object.entries(loads)) {
    const traffic = await Traffic.open({ ...load, port })
    traffic.start()
    await delay(scale.warmUp * 1_000)
    await enquirer.ask() // Discards the delays of the warm-up.
    const before = traffic.received
    await delay(scale.seconds * 1_000)
    const answer = await enquirer.ask()
    figures[`${key}P99`] = answer.p99
    figures[`${key}Max`] = answer.max
    if (traffic.received === before) throw new Error(`${load.title}: nothing came while it was measured`)
    const found = await traffic.finish()
    for (const kind of ['missing', 'repeated', 'jumps'] as const) faults[kind] += found[kind]
    traffic.close()
    if (traffic.failure !== undefined) throw new Error(`${load.title}: ${traffic.failure}`)
  }
  enquirer.close()
  return { figures, faults }
}

export const hostTimers: Work = {
  name: 'host-timers',
  title: `timers of ${INTERVAL_MS} ms in the program that embeds the broker, under full load`,
  figures: Object.fromEntries(Object.entries(loads).flatMap(([key, { title }]) => figuresOf(key, title))),
  without: ['mosquitto', 'aedes', 'relay'], // No program of ours embeds them.
  needsHost: true,
  run,
}
