import { ReasonCode } from '../packets/reason-codes.ts'
import type { Timer, Timers } from '../timers.ts'

/** The connection of the Client. */
interface KeepAliveOwner {
  /** `isWaiting`: the Client waits for the Server, not the Server for the Client. */
  readonly input: { readonly isWaiting: boolean }
  end(reasonCode: number): Promise<void>
}

// A timer this late means that the program was busy, not that the Client was silent.
const LATE_MS = 500
// A chunk of this size counts although it completes no packet; a Client could fake activity with smaller ones.
const SIGN_OF_LIFE_BYTES = 1000

/** Ends a connection without packets for one and a half times its Keep Alive (section 3.1.2.10). */
export class KeepAlive {
  readonly #timers: Timers
  readonly #owner: KeepAliveOwner
  readonly #timeoutMs: number
  #lastSignAt: number
  #timer: Timer | undefined

  /** `seconds` is above 0. */
  constructor(timers: Timers, owner: KeepAliveOwner, seconds: number) {
    this.#timers = timers
    this.#owner = owner
    this.#timeoutMs = seconds * 1500
    this.#lastSignAt = timers.now()
    this.#arm(this.#lastSignAt + this.#timeoutMs)
  }

  /** A chunk arrived. */
  received(bytes: number, completesPacket: boolean): void {
    if (completesPacket || bytes >= SIGN_OF_LIFE_BYTES) this.#lastSignAt = this.#timers.now()
  }

  stop(): void {
    this.#timers.cancel(this.#timer)
  }

  #arm(due: number): void {
    this.#timer = this.#timers.at(due, () => this.#check(due))
  }

  #check(due: number): void {
    const now = this.#timers.now()
    const dueAgain = this.#lastSignAt + this.#timeoutMs
    if (dueAgain > now) this.#arm(dueAgain)
    else if (this.#owner.input.isWaiting) this.#arm(now + this.#timeoutMs)
    else if (now - due > LATE_MS)
      this.#arm(now + LATE_MS) // Its packets may be unread.
    else void this.#owner.end(ReasonCode.keepAliveTimeout) // [MQTT-3.1.2-22]
  }
}
