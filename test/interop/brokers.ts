import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import type { TestContext } from 'node:test'
import { Broker } from '../../lib/index.ts'
import type { WebSocketSettings } from '../../types/listen.ts'
import type { CertificateAuthority } from '../transports/certificates.ts'
import { Program } from './programs.ts'

export interface RunningBroker {
  readonly port: number
  readonly wsUrl: string
  /** Only with an authority. */
  readonly tlsPort: number
  readonly wssUrl: string
  /** The client side of a connection without a network. */
  readonly connect: () => Duplex
}

/** With `INTEROP_BROKER=mosquitto` the same tests run against Mosquitto: they must be true of any broker. */
export const isReference: boolean = process.env['INTEROP_BROKER'] === 'mosquitto'

export function startBroker(
  t: TestContext,
  authority?: CertificateAuthority,
  webSocket: WebSocketSettings = {},
): Promise<RunningBroker> {
  return isReference ? startMosquitto(t, authority) : startHaltere(t, authority, webSocket)
}

async function startHaltere(
  t: TestContext,
  authority: CertificateAuthority | undefined,
  webSocket: WebSocketSettings,
): Promise<RunningBroker> {
  const broker = new Broker({ allowAnonymous: true })
  t.after(() => broker.close())
  const secure = authority && { port: 0, ...serverCertificate(authority) }
  const listeners = await broker.listen({
    tcp: { port: 0 },
    ws: { port: 0, ...webSocket },
    ...(secure && { tls: secure, wss: secure }),
  })
  const url = (protocol: string): string =>
    listeners.find((one) => one.protocol === protocol)?.url ?? `${protocol}://none:0`
  return {
    port: Number(new URL(url('mqtt')).port),
    wsUrl: url('ws'),
    tlsPort: Number(new URL(url('mqtts')).port),
    wssUrl: url('wss'),
    connect: () => broker.connect(),
  }
}

async function startMosquitto(t: TestContext, authority?: CertificateAuthority): Promise<RunningBroker> {
  const folder = mkdtempSync(join(tmpdir(), 'haltere-mosquitto-'))
  const [port = 0, wsPort = 0, tlsPort = 0, wssPort = 0] = await freePorts(4)
  const lines = [
    'allow_anonymous true',
    `listener ${port} 127.0.0.1`,
    `listener ${wsPort} 127.0.0.1\nprotocol websockets`,
  ]
  if (authority !== undefined) {
    const { key, cert } = serverCertificate(authority)
    writeFileSync(join(folder, 'key'), key, { mode: 0o644 })
    writeFileSync(join(folder, 'cert'), cert)
    const certificate = `keyfile ${folder}/key\ncertfile ${folder}/cert`
    lines.push(`listener ${tlsPort} 127.0.0.1\n${certificate}`)
    lines.push(`listener ${wssPort} 127.0.0.1\nprotocol websockets\n${certificate}`)
  }
  writeFileSync(join(folder, 'conf'), `user root\n${lines.join('\n')}\n`)
  const program = new Program(t, 'mosquitto', ['-c', join(folder, 'conf')])
  t.after(() => {
    program.kill()
    rmSync(folder, { recursive: true, force: true })
  })
  await listens(authority === undefined ? wsPort : wssPort)
  return {
    port,
    wsUrl: `ws://127.0.0.1:${wsPort}/mqtt`,
    tlsPort,
    wssUrl: `wss://127.0.0.1:${wssPort}/mqtt`,
    connect: () => connect(port, '127.0.0.1'),
  }
}

function serverCertificate(authority: CertificateAuthority): ReturnType<CertificateAuthority['issue']> {
  return authority.issue('/CN=localhost', 'DNS:localhost,IP:127.0.0.1')
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map((server) => once(server, 'listening')))
  const ports = servers.map((server) => (server.address() as AddressInfo).port)
  for (const server of servers) server.close()
  return ports
}

async function listens(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1')
  const isOpen = await new Promise<boolean>((resolve) => {
    socket.once('connect', () => resolve(true))
    socket.once('error', () => setTimeout(resolve, 20, false))
  })
  socket.destroy()
  if (!isOpen) await listens(port)
}
