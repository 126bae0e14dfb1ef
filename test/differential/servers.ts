import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Broker } from '../../lib/index.ts'
import { freePort } from '../support/free-port.ts'

const MOSQUITTO = '/usr/sbin/mosquitto'
const SETTINGS: readonly string[] = [
  'allow_anonymous true',
  'user root',
  'persistence false',
  'log_dest stderr',
  'log_type information',
  'sys_interval 0',
  'set_tcp_nodelay true',
  'max_inflight_messages 0',
  'max_queued_messages 0',
  'allow_duplicate_messages false',
]

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
  for (let attempt = 0; attempt < 5; attempt += 1) {
    const port = await freePort()
    writeFileSync(join(folder, 'conf'), `listener ${port} 127.0.0.1\n${SETTINGS.join('\n')}\n`)
    const child = spawn(MOSQUITTO, ['-c', join(folder, 'conf')], { stdio: ['ignore', 'ignore', 'pipe'] })
    if (!(await isRunning(child))) continue // Somebody else took the port meanwhile.
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
  rmSync(folder, { recursive: true, force: true })
  throw new Error('mosquitto does not start')
}

/** Waits until it says that it listens, or ends. */
function isRunning(child: ChildProcess): Promise<boolean> {
  return new Promise((resolve, reject) => {
    let log = ''
    child.stderr?.on('data', (chunk: Buffer) => {
      log += chunk.toString()
      if (/mosquitto version \S+ running/.test(log)) resolve(true)
    })
    child.once('error', reject)
    child.once('exit', () => resolve(false))
  })
}

async function open(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  await once(socket, 'connect')
  return socket
}
