/** A Redis of our own: on a port of its own, with a folder of its own, and every write on the disk. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from './free-port.ts'
import { quickFolder } from './quick-folder.ts'

const program = '/usr/bin/redis-server'

/** Why tests that need it cannot run here; false when they can, and where tests must not be left out. */
export const noRedis: string | false =
  existsSync(program) || process.env.CI !== undefined ? false : `there is no ${program}: apt-get install redis-server`

export class RedisServer {
  readonly #folder = mkdtempSync(join(quickFolder, 'haltere-redis-'))
  #port = 0
  #process: ChildProcess | undefined

  static async started(): Promise<RedisServer> {
    const server = new RedisServer()
    await server.start()
    return server
  }

  /** The same however often it is started. */
  get port(): number {
    return this.#port
  }

  get url(): string {
    return `redis://127.0.0.1:${this.#port}`
  }

  /** Starts it with what is on the disk. */
  async start(): Promise<void> {
    this.#port ||= await freePort()
    this.#process = await run(this.#port, this.#folder)
  }

  /** Ends it as a fall of the machine would. */
  async kill(): Promise<void> {
    const server = this.#process
    this.#process = undefined
    if (server === undefined || server.exitCode !== null || server.signalCode !== null) return
    const exit = once(server, 'exit')
    server.kill('SIGKILL')
    await exit
  }

  async remove(): Promise<void> {
    await this.kill()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

function run(port: number, folder: string): Promise<ChildProcess> {
  const words = `--port ${port} --bind 127.0.0.1 --dir ${folder} --appendonly yes --appendfsync always --save`
  const started = spawn(program, [...words.split(' '), ''], { stdio: ['ignore', 'pipe', 'ignore'] })
  // Also when a test ends without its end, for example at its time limit.
  const end = (): boolean => started.kill('SIGKILL')
  process.once('exit', end)
  started.once('exit', () => process.off('exit', end))
  return new Promise((resolve, reject) => {
    let said = ''
    started.on('error', reject)
    started.on('exit', (code) => reject(new Error(`redis-server ended with ${code}: ${said}`)))
    started.stdout.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-4000)
      if (said.includes('Ready to accept connections')) resolve(started)
    })
  })
}

// At the time limit of a test file its process is asked to end.
process.once('SIGTERM', () => process.exit(143))
