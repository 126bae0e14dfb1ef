/** A Redis server for one test: with its own port and folder, and every write synced to disk. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from './free-port.ts'
import { quickFolder } from './quick-folder.ts'

const program = '/usr/bin/redis-server'

/** The reason why tests with Redis are skipped; false if they can run, or if no test may be skipped. */
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

  /** The port, which is the same after each restart. */
  get port(): number {
    return this.#port
  }

  get url(): string {
    return `redis://127.0.0.1:${this.#port}`
  }

  /** Starts the server with the data on the disk. */
  async start(): Promise<void> {
    this.#port ||= await freePort()
    this.#process = await run(this.#port, this.#folder)
  }

  /** Ends the server with SIGKILL, like a crash. */
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
  // Ends the server if a test does not, for example at its time limit.
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

// At the time limit of a test file the runner sends SIGTERM to its process.
process.once('SIGTERM', () => process.exit(143))
