import { randomBytes } from 'node:crypto'
import type { Emitter } from '../../types/emitter.ts'
import { addCallbackId } from './emitters/index.ts'
import type { PacketOnEmitter } from './protocol.ts'

interface Waiting {
  readonly message: PacketOnEmitter
  readonly onTaken: (() => void) | undefined
}

/**
 * Emits one packet after the other. An emitter within the process calls listeners while it emits; a packet that they
 * cause must wait, or a third broker would receive it before the packet that is being emitted.
 */
export class Outbox {
  readonly #emitter: Emitter
  readonly #failed: (error: Error) => void
  readonly #waiting: Waiting[] = []
  readonly #stamp = randomBytes(9).toString('base64url')
  #count = 0
  #isEmitting = false
  #isFailing = false

  constructor(emitter: Emitter, failed: (error: Error) => void) {
    this.#emitter = emitter
    this.#failed = failed
  }

  /**
   * @param packet - belongs to the emitter from now on.
   * @param onTaken - called when the emitter has taken or refused the packet, if it calls back at all.
   */
  send(packet: PacketOnEmitter, onTaken?: () => void): void {
    this.#count += 1
    addCallbackId(packet, `${this.#stamp}-${this.#count}`)
    this.#waiting.push({ message: packet, onTaken })
    if (this.#isEmitting) return
    this.#isEmitting = true
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) this.#emit(next)
    this.#isEmitting = false
  }

  /** Reports the first failure, and the next one only after a success. */
  failed(error: unknown): void {
    if (this.#isFailing) return
    this.#isFailing = true
    this.#failed(error instanceof Error ? error : new Error(`emitter: ${String(error)}`))
  }

  #emit({ message, onTaken }: Waiting): void {
    try {
      this.#emitter.emit(message, (error) => {
        if (error === undefined || error === null) this.#isFailing = false
        else this.failed(error)
        onTaken?.()
      })
    } catch (error) {
      this.failed(error)
      onTaken?.()
    }
  }
}
