/** Records what is sent to a Redis, and sends it to another one. */
import { once } from 'node:events'
import { connect, createServer, type AddressInfo } from 'node:net'
import { Redis } from 'ioredis'

/** An argument is text, or bytes in Base64 where they are no UTF-8. */
export type Argument = string | { readonly base64: string }
export type Command = readonly Argument[]

/** A proxy in front of a Redis that keeps every command, in the order in which they came. */
export class RedisRecorder {
  readonly commands: Command[] = []
  readonly #server
  readonly #port: number

  private constructor(port: number) {
    this.#port = port
    this.#server = createServer((client) => {
      const redis = connect(this.#port, '127.0.0.1')
      const parser = new CommandParser((command) => this.commands.push(command))
      client.on('data', (chunk) => parser.push(chunk))
      client.pipe(redis).pipe(client)
      client.on('error', () => redis.destroy())
      redis.on('error', () => client.destroy())
    })
  }

  static async inFrontOf(port: number): Promise<RedisRecorder> {
    const recorder = new RedisRecorder(port)
    recorder.#server.listen(0, '127.0.0.1')
    await once(recorder.#server, 'listening')
    return recorder
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  close(): void {
    this.#server.close()
  }
}

/** Reads `*count`, then for each argument `$length` and its bytes. */
class CommandParser {
  readonly #onCommand: (command: Command) => void
  #bytes = Buffer.alloc(0)

  constructor(onCommand: (command: Command) => void) {
    this.#onCommand = onCommand
  }

  push(chunk: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk])
    for (let end = this.#next(); end !== undefined; end = this.#next()) this.#bytes = this.#bytes.subarray(end)
  }

  /** Where the first command ends; undefined when it is not all there. */
  #next(): number | undefined {
    let position = 0
    const line = (): string | undefined => {
      const end = this.#bytes.indexOf('\r\n', position)
      if (end === -1) return undefined
      const text = this.#bytes.toString('latin1', position, end)
      position = end + 2
      return text
    }
    const count = line()
    if (count === undefined) return undefined
    if (!count.startsWith('*')) throw new Error(`expected an array of arguments, got ${count}`)
    const command: Argument[] = []
    for (let left = Number(count.slice(1)); left > 0; left -= 1) {
      const length = line()
      if (length === undefined) return undefined
      const end = position + Number(length.slice(1))
      if (this.#bytes.length < end + 2) return undefined
      command.push(argumentOf(this.#bytes.subarray(position, end)))
      position = end + 2
    }
    this.#onCommand(command)
    return position
  }
}

function argumentOf(bytes: Buffer): Argument {
  const text = bytes.toString()
  return Buffer.from(text).equals(bytes) ? text : { base64: bytes.toString('base64') }
}

/** They are about the connection that sends them, and not about what is stored. */
const ofConnections = new Set(['client', 'hello', 'info', 'quit', 'ping', 'select'])

/** Sends all commands to an empty Redis, one after another. */
export async function replay(commands: readonly Command[], port: number): Promise<void> {
  const redis = new Redis({ port })
  try {
    for (const [name, ...values] of commands) {
      if (typeof name !== 'string' || ofConnections.has(name.toLowerCase())) continue
      await redis.call(
        name,
        ...values.map((value) => (typeof value === 'string' ? value : Buffer.from(value.base64, 'base64'))),
      )
    }
  } finally {
    redis.disconnect()
  }
}
