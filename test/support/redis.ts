/** A Redis of our own: on a port of its own, with a folder of its own, and every write on the disk. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const program = '/usr/bin/redis-server'

/** Why tests that need it cannot run here; false when they can, and where tests must not be left out. */
export const noRedis: string | false =
  existsSync(program) || process.env.CI !== undefined ? false : `there is no ${program}: apt-get install redis-server`

export class RedisServer {
  readonly port: number
  readonly #folder: string
  #process: ChildProcess

  private constructor(port: number, folder: string, started: ChildProcess) {
    this.port = port
    this.#folder = folder
    this.#process = started
  }

  static async start(): Promise<RedisServer> {
    const folder = await mkdtemp(join(tmpdir(), 'haltere-redis-'))
    const port = await freePort()
    return new RedisServer(port, folder, await run(port, folder))
  }

  /** Ends it as a fall of the machine would, and starts it with what is on the disk. */
  async crash(): Promise<void> {
    await this.#end('SIGKILL')
    this.#process = await run(this.port, this.#folder)
  }

  async end(): Promise<void> {
    await this.#end('SIGTERM')
    await rm(this.#folder, { recursive: true })
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const exit = once(this.#process, 'exit')
    this.#process.kill(signal)
    await exit
  }
}

/** Redis cannot be asked to choose one itself. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

function run(port: number, folder: string): Promise<ChildProcess> {
  const options = [
    '--bind',
    '127.0.0.1',
    '--dir',
    folder,
    '--save',
    '',
    '--appendonly',
    'yes',
    '--appendfsync',
    'always',
  ]
  const started = spawn(program, ['--port', `${port}`, ...options], { stdio: ['ignore', 'pipe', 'ignore'] })
  // Also when a test ends without its end, for example at its time limit.
  process.once('exit', () => started.kill('SIGKILL'))
  process.once('SIGTERM', () => process.exit(143))
  return new Promise((resolve, reject) => {
    let said = ''
    started.on('error', reject)
    started.on('exit', (code) => reject(new Error(`redis-server ended with ${code}: ${said}`)))
    started.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text
      if (said.includes('Ready to accept connections')) resolve(started)
    })
  })
}
