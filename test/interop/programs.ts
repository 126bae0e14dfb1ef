import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { TestContext } from 'node:test'
import { patienceMs } from '../support/patience.ts'

/** Is this program on this machine? `probe` are words that make it end at once. */
export function available(program: string, probe: readonly string[] = ['--help']): boolean {
  try {
    execFileSync(program, probe, { stdio: 'ignore', timeout: patienceMs })
    return true
  } catch (error) {
    // mosquitto_pub ends with 1 after --help; what is not there has no status at all.
    return probe[0] === '--help' && error instanceof Error && 'status' in error && error.status === 1
  }
}

/**
 * The options of a test that needs a program: without it the test is skipped and says so.
 * Not in continuous integration: there a program that is missing must not look like a test that passed.
 */
export function needs(program: string, isThere: boolean = available(program)): { skip?: string } {
  if (isThere || process.env['CI'] === 'true') return {}
  return { skip: `${program} is not installed` }
}

/** A program that runs; it ends with the test at the latest. */
export class Program {
  readonly #child: ChildProcess
  readonly #lines: string[] = []
  readonly #exit: Promise<number | null>
  #errors = ''
  #changed: () => void = () => {}

  constructor(t: TestContext, command: string, words: readonly string[], input?: string) {
    const child = spawn(command, words, { stdio: ['pipe', 'pipe', 'pipe'] })
    this.#child = child
    this.#exit = new Promise((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (code) => {
        resolve(code)
        this.#changed()
      })
    })
    this.#exit.catch(() => this.#changed())
    createInterface({ input: child.stdout }).on('line', (line) => {
      this.#lines.push(line)
      this.#changed()
    })
    child.stderr.on('data', (chunk: Buffer) => {
      this.#errors += chunk.toString()
    })
    child.stdin.on('error', () => {})
    child.stdin.end(input)
    t.after(() => this.kill())
  }

  /** The lines that it has written. */
  get lines(): readonly string[] {
    return this.#lines
  }

  /** Waits for a line of its output that matches, also one that has come already. */
  async line(pattern: RegExp): Promise<string> {
    let ended = false
    const exit = this.#exit.finally(() => {
      ended = true
    })
    for (;;) {
      const found = this.#lines.find((line) => pattern.test(line))
      if (found !== undefined) return found
      if (ended) throw new Error(`ended without ${pattern}: ${this.#lines.join('\n')}\n${this.#errors}`)
      await Promise.race([exit, new Promise<void>((resolve) => (this.#changed = resolve))])
    }
  }

  /** Waits for its end, which must be a good one, and gives what it wrote. */
  async done(): Promise<string[]> {
    const code = await this.#exit
    if (code !== 0) throw new Error(`ended with ${code}: ${this.#lines.join('\n')}\n${this.#errors}`)
    return this.#lines
  }

  /** Ends it without a word to anybody, as a power cut would. */
  kill(): void {
    this.#child.kill('SIGKILL')
  }
}
