import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import type { TestContext } from 'node:test'

const dist = dirname(dirname(import.meta.dirname))
const root = dirname(dist)

/** An example that runs as its reader would run it: in a process of its own, from the root of the repository. */
export class Program {
  readonly process: ChildProcess
  readonly #lines: AsyncIterator<string>
  readonly #ended: Promise<unknown>
  #errors = ''

  constructor(t: TestContext, name: string, environment: Record<string, string> = {}) {
    const { NODE_TEST_CONTEXT: _, ...inherited } = process.env // an example that is a test reports in its own way
    this.process = spawn(process.execPath, [join(dist, 'examples', `${name}.js`)], {
      cwd: root,
      env: { ...inherited, PORT: '0', ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const { stdout, stderr } = this.process
    if (stdout === null || stderr === null) throw new Error('a program without output')
    stderr.on('data', (text: Buffer) => (this.#errors += text.toString()))
    this.#lines = createInterface({ input: stdout })[Symbol.asyncIterator]()
    this.#ended = once(this.process, 'close')
    t.after(async () => {
      this.process.kill('SIGKILL')
      await this.#ended
    })
  }

  /** The next line that it prints. */
  async line(): Promise<string> {
    const { done, value } = await this.#lines.next()
    if (done === true) throw new Error(`the example ended: ${this.#errors}`)
    return value
  }

  /** All lines that are to come, when it has ended well. */
  async rest(): Promise<string[]> {
    const lines: string[] = []
    for (let next = await this.#lines.next(); next.done !== true; next = await this.#lines.next())
      lines.push(next.value)
    await this.#ended
    if (this.process.exitCode !== 0) {
      throw new Error(
        `exit code ${this.process.exitCode ?? this.process.signalCode}: ${this.#errors}${lines.join('\n')}`,
      )
    }
    return lines
  }
}

/** The root of the repository. */
export const repository: string = root
