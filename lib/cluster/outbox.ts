import { randomBytes } from 'node:crypto'
import type { Emitter } from '../../types/emitter.ts'
import { addCallbackId } from './emitters/index.ts'
import type { PacketOnEmitter } from './protocol.ts'

interface Waiting {
  readonly message: PacketOnEmitter
  readonly taken: (() => void) | undefined
}

/**
 * Puts one packet after the other onto the emitter. An emitter within the process calls listeners while it emits; a
 * packet that they cause has to wait, or a third broker would receive it before the one that is being emitted.
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
   * @param taken - called when the emitter has taken or refused the packet, if it calls back at all.
   */
  send(packet: PacketOnEmitter, taken?: () => void): void {
    this.#count += 1
    addCallbackId(packet, `${this.#stamp}-${this.#count}`)
    this.#waiting.push({ message: packet, taken })
    if (this.#isEmitting) return
    this.#isEmitting = true
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) this.#emit(next)
    this.#isEmitting = false
  }

  /** Reports the first failure, and the next one only when something has worked in between. */
  failed(error: unknown): void {
    if (this.#isFailing) return
    this.#isFailing = true
    this.#failed(error instanceof Error ? error : new Error(`emitter: ${String(error)}`))
  }

  #emit({ message, taken }: Waiting): void {
    try {
      this.#emitter.emit(message, (error) => {
        if (error === undefined || error === null) this.#isFailing = false
        else this.failed(error)
        taken?.()
      })
    } catch (error) {
      this.failed(error)
      taken?.()
    }
  }
}
