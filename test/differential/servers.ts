import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Broker } from '../../lib/index.ts'

const MOSQUITTO = '/usr/sbin/mosquitto'

/** A broker to talk to over TCP, with nothing in it yet. */
export interface Server extends AsyncDisposable {
  readonly name: 'haltere' | 'mosquitto'
  connect(): Promise<Socket>
}

export const mosquittoIsThere: boolean = existsSync(MOSQUITTO)

export async function startHaltere(): Promise<Server> {
  const broker = new Broker({ sysInterval: false })
  const [listener] = await broker.listen({ tcp: { port: 0 } })
  const port = Number(new URL(listener?.url ?? '').port)
  return {
    name: 'haltere',
    connect: () => open(port),
    [Symbol.asyncDispose]: () => broker.close({ graceMs: 1 }),
  }
}

/** Mosquitto without limits of its own, so that only what it does is compared and not how much. */
export async function startMosquitto(): Promise<Server> {
  const folder = mkdtempSync(join(tmpdir(), 'haltere-differential-'))
  const port = await freePort()
  const settings = [
    `listener ${port} 127.0.0.1`,
    'allow_anonymous true',
    'user root',
    'persistence false',
    'log_type none',
    'sys_interval 0',
    'set_tcp_nodelay true',
    'max_inflight_messages 0',
    'max_queued_messages 0',
    'allow_duplicate_messages false',
  ]
  writeFileSync(join(folder, 'conf'), `${settings.join('\n')}\n`)
  const child = spawn(MOSQUITTO, ['-c', join(folder, 'conf')], { stdio: 'ignore' })
  await listens(port, child)
  return {
    name: 'mosquitto',
    connect: () => open(port),
    async [Symbol.asyncDispose]() {
      const exit = once(child, 'exit')
      child.kill('SIGKILL')
      await exit
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function open(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  await once(socket, 'connect')
  return socket
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** Asks again until it takes a connection or has ended. */
async function listens(port: number, child: ChildProcess): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`mosquitto ended with ${child.exitCode}`)
    const socket = connect(port, '127.0.0.1')
    const isOpen = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true))
      socket.once('error', () => resolve(false))
    })
    socket.destroy()
    if (isOpen) return
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}
