/**
 * Starts a broker for every conformance test.
 *
 * - By default it is this library, in this process, on a clock that the test moves.
 * - With `MQTT_TARGET=/usr/sbin/mosquitto` it is Mosquitto, started for each test.
 * - With `MQTT_TARGET=127.0.0.1:1883` it is a running broker. It must be empty, because the tests share it.
 *
 * Tests that need our hooks or clock are skipped with another broker.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect as openSocket, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test as nodeTest } from 'node:test'
import { WebSocket, createWebSocketStream } from 'ws'
import { Broker, type BrokerOptions } from '../../lib/index.ts'
import { Client, type Connect, connectPacket, type Level, openConnection } from './client.ts'
import { ManualClock } from './manual-clock.ts'
import { freePort } from '../support/free-port.ts'

const target = process.env['MQTT_TARGET']

export interface BrokerUnderTest {
  readonly host: string
  readonly port: number
  readonly wsPort: number | undefined
  /** Only for this library. */
  readonly broker?: Broker
  readonly advance: (milliseconds: number) => Promise<void>
  readonly close: () => Promise<void>
}

export async function startBroker(options: BrokerOptions = {}): Promise<BrokerUnderTest> {
  if (target === undefined) return await startOurs(options)
  if (target.startsWith('/')) return await startMosquitto(target)
  const [host = '127.0.0.1', port = '1883', wsPort] = target.split(':')
  return {
    host,
    port: Number(port),
    wsPort: wsPort === undefined ? undefined : Number(wsPort),
    advance: noClock,
    close: async () => {},
  }
}

async function startOurs(options: BrokerOptions): Promise<BrokerUnderTest> {
  const clock = new ManualClock()
  const broker = new Broker({ sysInterval: false, clock, ...options })
  const [tcp, ws] = await broker.listen({ tcp: { port: 0, host: '127.0.0.1' }, ws: { port: 0, host: '127.0.0.1' } })
  return {
    host: '127.0.0.1',
    port: (tcp!.address as AddressInfo).port,
    wsPort: (ws!.address as AddressInfo).port,
    broker,
    advance: async (milliseconds) => await clock.advance(milliseconds),
    close: async () => await broker.close({ graceMs: 0 }),
  }
}

/** Retries until a program listens on the port. */
async function listening(port: number): Promise<void> {
  for (;;) {
    const socket = openSocket({ host: '127.0.0.1', port })
    const isOpen = await once(socket, 'connect').then(
      () => true,
      () => false,
    )
    socket.destroy()
    if (isOpen) return
  }
}

async function startMosquitto(command: string): Promise<BrokerUnderTest> {
  const [port, wsPort] = [await freePort(), await freePort()]
  const folder = mkdtempSync(join(tmpdir(), 'conformance-'))
  const file = join(folder, 'mosquitto.conf')
  writeFileSync(
    file,
    `listener ${port} 127.0.0.1\nlistener ${wsPort} 127.0.0.1\nprotocol websockets\nallow_anonymous true\nsys_interval 0\n`,
  )
  const child = spawn(command, ['-c', file], { stdio: 'ignore' })
  await listening(port)
  await listening(wsPort)
  return {
    host: '127.0.0.1',
    port,
    wsPort,
    advance: noClock,
    close: async () => {
      child.kill('SIGKILL')
      await once(child, 'exit')
      rmSync(folder, { recursive: true })
    },
  }
}

async function noClock(): Promise<never> {
  throw new Error('this broker has no clock that a test can move')
}

export interface Conformance {
  readonly server: BrokerUnderTest
  /** Opens a Network Connection without sending a packet. */
  readonly open: (level?: Level) => Promise<Client>
  /** Connects a Client; its name is its Client Identifier. */
  readonly connect: (id: string, connect?: Omit<Connect, 'id'> & { sessionPresent?: 0 | 1 }) => Promise<Client>
  /** The same over WebSocket. */
  readonly openWebSocket: (protocol?: string | string[]) => Promise<WebSocket>
  readonly webSocketClient: (socket: WebSocket, level?: Level) => Client
}

export interface Needs {
  /** The test moves the clock, so it needs this library. */
  readonly clock?: boolean
  /** Hooks and limits, which need this library. */
  readonly options?: BrokerOptions
}

type Body = (conformance: Conformance) => Promise<void>

/** A test of node:test with a broker. Its name is a sentence about MQTT with the numbers of the proven statements. */
export function test(name: string, ...rest: [Body] | [Needs, Body]): void {
  const [needs, body] = rest.length === 1 ? [{}, rest[0]] : rest
  const skip =
    target !== undefined && (needs.clock === true || needs.options !== undefined)
      ? 'needs our hooks, options or clock'
      : false
  void nodeTest(name, { skip }, async () => {
    const server = await startBroker(needs.options)
    const clients: Client[] = []
    const open = async (level: Level = 5): Promise<Client> => {
      const client = await openConnection(server.host, server.port, level)
      clients.push(client)
      return client
    }
    try {
      await body({
        server,
        open,
        connect: async (id, { sessionPresent = 0, ...connect } = {}) => {
          const client = await open(connect.level)
          client.sends(connectPacket({ ...connect, id }))
          await client.receivesConnack(sessionPresent)
          return client
        },
        openWebSocket: async (protocol = 'mqtt') => {
          const socket = new WebSocket(`ws://${server.host}:${server.wsPort}/mqtt`, protocol)
          await once(socket, 'open')
          return socket
        },
        webSocketClient: (socket, level = 5) => {
          const client = new Client(createWebSocketStream(socket), level)
          clients.push(client)
          return client
        },
      })
    } finally {
      for (const client of clients) client.stream.destroy()
      await server.close()
    }
  })
}
