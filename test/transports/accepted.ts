import type { Duplex } from 'node:stream'
import type { ConnectionInfo } from '../../types/connection-info.ts'
import type { Accept } from '../../lib/transports/listener.ts'

export interface Connection {
  readonly stream: Duplex
  readonly info: ConnectionInfo
}

/** Stands where the broker would: collects what the transports hand over. */
export class Accepted {
  readonly connections: Connection[] = []
  readonly #waiting: ((connection: Connection) => void)[] = []
  #taken = 0

  readonly accept: Accept = (stream, info) => {
    const connection = { stream, info }
    this.connections.push(connection)
    const waiting = this.#waiting.shift()
    if (waiting !== undefined) {
      this.#taken += 1
      waiting(connection)
    }
  }

  /** The next connection that nobody has asked for yet. */
  next(): Promise<Connection> {
    const connection = this.connections[this.#taken]
    if (connection === undefined) return new Promise((resolve) => this.#waiting.push(resolve))
    this.#taken += 1
    return Promise.resolve(connection)
  }
}

/** Reads until so many bytes have come. */
export async function read(stream: Duplex, length: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  while (size < length) {
    const chunk: unknown = stream.read()
    if (Buffer.isBuffer(chunk)) {
      chunks.push(chunk)
      size += chunk.length
    } else if (stream.readableEnded || stream.destroyed) {
      throw new Error(`the stream ended after ${size} of ${length} bytes`)
    } else {
      await news(stream)
    }
  }
  return Buffer.concat(chunks)
}

function news(stream: Duplex): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      stream.off('readable', done).off('close', done)
      resolve()
    }
    stream.on('readable', done).on('close', done)
  })
}
