import { ProtocolError } from '../errors.ts'
import { closeTimeoutMs } from './listener.ts'
import { PacketFrames } from './packet-frames.ts'
import { Duplex } from './streams.ts'
import type { WebSocket } from './ws.ts'

const highWaterMark = 64 * 1024
/** Status codes of RFC 6455, section 7.4.1. */
export const status = { normal: 1000, goingAway: 1001, unsupportedData: 1003 }

/**
 * A WebSocket as a stream of MQTT packets. Each packet is a message, and all packets that are written together leave in
 * one write. The frames go to the socket directly: `ws` writes its own, such as Pong, in one piece too.
 */
export class WebSocketStream extends Duplex {
  readonly #webSocket: WebSocket
  readonly #socket: Duplex
  readonly #frames = new PacketFrames()
  #closeCode: number = status.normal

  /** `socket` is the connection of the WebSocket. */
  constructor(webSocket: WebSocket, socket: Duplex) {
    super({ allowHalfOpen: false, highWaterMark })
    this.#webSocket = webSocket
    this.#socket = socket
    webSocket.on('message', (data: Buffer, isBinary) => this.#receive(data, isBinary))
    // ws has already sent the status code (1002, 1007, 1009).
    webSocket.on('error', (error) => this.destroy(new ProtocolError(0x81, error.message)))
    webSocket.on('close', () => {
      if (!this.destroyed) this.push(null)
    })
  }

  /** Ends both directions with this status code after the remaining output, but at the latest after 2 seconds. */
  closeWith(code: number): void {
    this.#closeCode = code
    this.end()
    const timer = setTimeout(() => this.#webSocket.terminate(), closeTimeoutMs)
    this.#webSocket.once('close', () => clearTimeout(timer))
  }

  #receive(data: Buffer, isBinary: boolean): void {
    if (this.destroyed || this.writableEnded) return
    if (!isBinary) {
      this.#webSocket.close(status.unsupportedData)
      this.destroy(new ProtocolError(0x81, 'a text frame; MQTT is sent in binary frames')) // [MQTT-6.0.0-1]
    } else if (data.length > 0 && !this.push(data)) {
      this.#webSocket.pause()
    }
  }

  override _read(): void {
    if (this.#webSocket.isPaused) this.#webSocket.resume()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    this.#send([chunk], callback)
  }

  override _writev(chunks: { chunk: Buffer }[], callback: () => void): void {
    this.#send(
      chunks.map(({ chunk }) => chunk),
      callback,
    )
  }

  override _final(callback: () => void): void {
    this.#webSocket.resume() // To receive the close frame of the Client although the stream is not read any more.
    this.#webSocket.close(this.#closeCode)
    callback()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    // ws has a time limit for a closing handshake that has begun.
    if (this.#webSocket.readyState === this.#webSocket.OPEN) this.#webSocket.terminate()
    else this.#webSocket.resume()
    callback(error)
  }

  #send(chunks: readonly Buffer[], callback: () => void): void {
    // As with TCP, bytes to a closed connection are lost without an error; 'close' follows.
    if (this.#webSocket.readyState !== this.#webSocket.OPEN) return callback()
    const parts = this.#frames.frame(chunks)
    const last = parts.at(-1)
    if (last === undefined) return callback()
    // The callback runs when the bytes are written to the system; until then this stream buffers up to 64 KiB.
    if (parts.length === 1) {
      this.#socket.write(last, () => callback())
      return
    }
    this.#socket.cork() // One system call for all parts.
    for (const part of parts.slice(0, -1)) this.#socket.write(part)
    this.#socket.write(last, () => callback())
    this.#socket.uncork()
  }
}
