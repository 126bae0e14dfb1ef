import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Readable } from 'node:stream'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { TestClient } from '../support/client.ts'
import type { ProtocolLevel } from '../../types/packets.ts'

const path = fileURLToPath(new URL('../../lib/cli.js', import.meta.url))

/** The command in a process of its own, which ends with the test. */
export class Command {
  readonly child: ChildProcessByStdio<null, Readable, Readable>
  stdout = ''
  stderr = ''
  /** Exit code and signal. */
  readonly exited: Promise<[code: number | null, signal: string | null]>
  #news: (() => void)[] = []

  constructor(t: TestContext, ...args: string[]) {
    this.child = spawn(process.execPath, [path, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    this.child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text
      this.#tell()
    })
    this.child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text
      this.#tell()
    })
    this.exited = once(this.child, 'close').then(([code, signal]) => {
      this.#tell()
      return [code as number | null, signal as string | null]
    })
    t.after(() => this.child.kill('SIGKILL'))
  }

  #tell(): void {
    for (const news of this.#news.splice(0)) news()
  }

  get lines(): string[] {
    return this.stdout.split('\n').slice(0, -1)
  }

  /** Resolves with the first line that matches. */
  async line(pattern: RegExp): Promise<string> {
    for (;;) {
      const found = this.lines.find((line) => pattern.test(line))
      if (found !== undefined) return found
      if (this.child.exitCode !== null) throw new Error(`it ended: ${this.stdout}${this.stderr}`)
      await new Promise<void>((resolve) => this.#news.push(resolve))
    }
  }

  /** Resolves when so many lines match. */
  lineCount(pattern: RegExp, count: number): Promise<void> {
    return this.#until(() => this.lines.filter((line) => pattern.test(line)).length >= count)
  }

  /** Resolves when so many lines of the error output match. */
  errorCount(pattern: RegExp, count: number): Promise<void> {
    return this.#until(() => this.stderr.split('\n').filter((line) => pattern.test(line)).length >= count)
  }

  async #until(isMet: () => boolean): Promise<void> {
    while (!isMet()) {
      if (this.child.exitCode !== null) throw new Error(`it ended: ${this.stdout}${this.stderr}`)
      await new Promise<void>((resolve) => this.#news.push(resolve))
    }
  }

  /** The port of its listener for this scheme. */
  async port(scheme = 'mqtt'): Promise<number> {
    const line = await this.line(new RegExp(`[" ]${scheme}://`))
    return Number(new URL(/[a-z]+:\/\/[^"\s]+/.exec(line)?.[0] ?? '').port)
  }

  async client(t: TestContext, level: ProtocolLevel = 5): Promise<TestClient> {
    const socket = connect(await this.port(), '127.0.0.1')
    t.after(() => socket.destroy())
    await once(socket, 'connect')
    return new TestClient(socket, level)
  }
}
