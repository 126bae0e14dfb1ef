import type { Duplex as NodeDuplex } from 'node:stream'
import { Duplex } from './streams.ts'

const highWaterMark = 64 * 1024

/**
 * One end of a connection without a network: each end reads the bytes that the other one writes.
 *
 *     client.write ──▶ server's read buffer (64 KiB) ──▶ server 'data'
 *     client's callback ◀── once the server wants more
 */
class MemoryStream extends Duplex {
  #peer: MemoryStream | undefined
  /** The callback of the other end's write, which waits until this end reads. */
  #waiting: (() => void) | undefined

  constructor() {
    super({ allowHalfOpen: false, highWaterMark })
  }

  static pair(): [MemoryStream, MemoryStream] {
    const one = new MemoryStream()
    const other = new MemoryStream()
    one.#peer = other
    other.#peer = one
    return [one, other]
  }

  override _read(): void {
    this.#resumeWriter()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    // A copy, because the writer may reuse its bytes after the callback.
    this.#send(Buffer.from(chunk), callback)
  }

  override _writev(chunks: { chunk: Buffer }[], callback: () => void): void {
    this.#send(Buffer.concat(chunks.map(({ chunk }) => chunk)), callback)
  }

  override _final(callback: () => void): void {
    if (this.#peer?.destroyed === false) this.#peer.push(null)
    callback()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    const peer = this.#peer
    this.#peer = undefined
    this.#resumeWriter() // Its bytes will not be read any more.
    if (peer !== undefined) peer.#lostPeer()
    callback(error)
  }

  #resumeWriter(): void {
    const resume = this.#waiting
    this.#waiting = undefined
    resume?.()
  }

  #send(bytes: Buffer, callback: () => void): void {
    const peer = this.#peer
    // As with TCP, bytes to a closed end are lost without an error; 'close' follows.
    if (peer === undefined || peer.destroyed || bytes.length === 0 || peer.push(bytes)) callback()
    else peer.#waiting = callback
  }

  /** The other end is closed: this end closes after its remaining bytes are read. */
  #lostPeer(): void {
    this.#peer = undefined
    if (this.destroyed) return
    if (!this.readableEnded) this.push(null)
    if (this.readableLength === 0) this.destroy()
  }
}

/** A connection without a network: give one end to a Client, for example `new MqttClient(() => clientSide, {})`. */
export function memoryPair(): [clientSide: NodeDuplex, serverSide: NodeDuplex] {
  return MemoryStream.pair()
}
