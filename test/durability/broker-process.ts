import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort } from '../support/free-port.ts'

/**
 * What is killed: the command with a store, with Redis or without either; a program with a level store; one that ends at a call
 * of its log; Mosquitto.
 */
export type BrokerKind = 'log' | 'redis' | 'level' | 'exits' | 'none' | 'mosquitto'

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
const command = here('../../lib/cli.js')

export interface ProcessSettings {
  readonly kind: BrokerKind
  /** Default: a new one in the folder for temporary files. */
  readonly folder?: string
  readonly redisUrl?: string
}

/** A broker in a process of its own, on the same port and the same folder however often it is started. */
export class BrokerProcess {
  readonly folder: string
  /** More words for the program. */
  words: readonly string[] = []
  /** Bytes that a file may have, as `ulimit -f` says it. */
  fileLimit: number | undefined
  readonly #settings: ProcessSettings
  #port = 0
  #child: ChildProcess | undefined
  #isUp = false
  #ups: (() => void)[] = []
  #end: () => void = () => undefined
  #isKilled = false
  #output = ''
  /** What it said when it ended by itself. */
  readonly crashes: string[] = []

  constructor(settings: ProcessSettings) {
    this.#settings = settings
    this.folder = settings.folder ?? mkdtempSync(join(tmpdir(), 'haltere-kill-'))
  }

  get port(): number {
    return this.#port
  }

  /** Resolves when it listens. `ahead` is how many seconds later than now it is to believe it is. */
  async start(ahead = 0): Promise<void> {
    this.#port ||= await freePort()
    this.#isKilled = false
    this.#output = ''
    const [program, words] = this.#command(ahead)
    const child = spawn(program, words, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, HALTERE_TEST_AHEAD: String(ahead) },
    })
    this.#child = child
    const ended = once(child, 'close')
    for (const output of [child.stdout, child.stderr]) {
      output.on('data', (chunk: Buffer) => (this.#output = (this.#output + chunk.toString()).slice(-4000)))
    }
    void ended.then(([code, signal]) => {
      this.#isUp = false
      this.#end()
      if (!this.#isKilled && signal !== 'SIGKILL') this.crashes.push(`ended with ${code ?? signal}: ${this.#output}`)
    })
    while (child.exitCode === null && child.signalCode === null && !this.#isUp) {
      if (this.#settings.kind === 'mosquitto') {
        this.#isUp = await listens(this.#port)
      } else {
        await Promise.race([once(child.stdout, 'data'), ended])
        this.#isUp = this.#output.includes('mqtt://')
      }
    }
    if (!this.#isUp) throw new Error(`the broker does not start: ${this.#output}`)
    for (const up of this.#ups.splice(0)) up()
  }

  /** Ends it as a power cut of the process would; resolves when it is gone. */
  async kill(): Promise<void> {
    const child = this.#child
    this.#isKilled = true
    this.#isUp = false
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'close')
    child.kill('SIGKILL')
    await ended
  }

  /** Resolves when it ends by itself. */
  async ended(): Promise<void> {
    const child = this.#child
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    await new Promise<void>((resolve) => (this.#end = resolve))
  }

  /** Asks it to end; resolves when it is gone. */
  async close(): Promise<void> {
    const child = this.#child
    this.#isKilled = true
    this.#isUp = false
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'close')
    child.kill('SIGTERM')
    await ended
  }

  /** Kills it and removes its folder. */
  async remove(): Promise<void> {
    await this.kill()
    rmSync(this.folder, { recursive: true, force: true })
  }

  /** A connection; waits while the broker is not up. */
  readonly open = async (): Promise<Socket> => {
    while (!this.#isUp) await new Promise<void>((resolve) => this.#ups.push(resolve))
    const socket = connect({ port: this.#port, host: '127.0.0.1', noDelay: true })
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    return socket
  }

  /** Lets those go who wait for a broker that will not come. */
  release(): void {
    this.#isUp = true
    for (const up of this.#ups.splice(0)) up()
  }

  #command(ahead: number): [program: string, words: string[]] {
    const { kind, redisUrl = '' } = this.#settings
    if (kind === 'mosquitto') return ['mosquitto', ['-p', String(this.#port)]]
    const listen = ['--port', String(this.#port), '--ws-port', '0', ...this.words]
    const shift = ahead === 0 ? [] : ['--import', here('later.js')]
    const program = {
      log: [command, '--store', this.folder, ...listen],
      redis: [command, '--redis', redisUrl, ...listen],
      none: [command, ...listen],
      level: [here('brokers/level.js'), this.folder, String(this.#port)],
      exits: [here('brokers/exits.js'), this.folder, String(this.#port), ...this.words],
    }[kind]
    const all = [...shift, ...program]
    if (this.fileLimit === undefined) return [process.execPath, all]
    const blocks = Math.ceil(this.fileLimit / 512)
    return ['sh', ['-c', `ulimit -f ${blocks}; exec "$@"`, 'sh', process.execPath, ...all]]
  }
}

export function isInstalled(program: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

async function listens(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  const isOpen = await new Promise<boolean>((resolve) => {
    socket.once('connect', () => resolve(true))
    socket.once('error', () => setTimeout(resolve, 10, false))
  })
  socket.destroy()
  return isOpen
}
