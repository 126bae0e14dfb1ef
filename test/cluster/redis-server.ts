import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

/** Why there is no Redis to test with; undefined when there is one. */
export const noRedis: string | undefined =
  spawnSync('redis-server', ['--version']).error === undefined ? undefined : 'redis-server is not installed'

/** A redis-server of our own, on a socket in a folder of its own, that keeps nothing. */
export class RedisServer {
  readonly #folder = mkdtempSync(join(tmpdir(), 'haltere-redis-'))
  readonly path: string = join(this.#folder, 'socket')
  #process: ChildProcess | undefined

  async start(): Promise<void> {
    const options = ['--port', '0', '--unixsocket', this.path, '--save', '', '--dir', this.#folder]
    const server = spawn('redis-server', options, { stdio: ['ignore', 'pipe', 'inherit'] })
    this.#process = server
    // Read to the end, or the server would wait for somebody to take what it writes.
    await new Promise<void>((resolve, reject) => {
      createInterface(server.stdout).on('line', (line) => {
        if (line.includes('eady to accept connections')) resolve()
      })
      server.once('exit', (code) => reject(new Error(`redis-server: ended with ${code}`)))
    })
  }

  /** Ends it as a crash would. */
  async kill(): Promise<void> {
    const server = this.#process
    this.#process = undefined
    if (server === undefined || server.exitCode !== null || server.signalCode !== null) return
    const ended = once(server, 'exit')
    server.kill('SIGKILL')
    await ended
  }

  async remove(): Promise<void> {
    await this.kill()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
