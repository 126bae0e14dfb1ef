/** Counts the messages of each stream at one subscriber; sequence numbers show duplicates, losses and wrong order. */
export class Ledger {
  received = 0
  /** Messages that arrived again, or after a later one. */
  repeated = 0
  /** Number of times that a message arrived before an earlier one, or without it. */
  jumps = 0
  readonly #next: Uint32Array

  constructor(streams: number) {
    this.#next = new Uint32Array(streams)
  }

  take(stream: number, sequence: number): void {
    const expected = this.#next[stream]!
    this.received += 1
    if (sequence < expected) this.repeated += 1
    else {
      if (sequence > expected) this.jumps += 1
      this.#next[stream] = sequence + 1
    }
  }
}

/** Violations of the standard; all zero for a correct broker. */
export interface Faults {
  /** Messages that did not arrive. At QoS 0 a broker may drop messages; the figure then counts arrived ones only. */
  missing: number
  repeated: number
  jumps: number
}

export function faultsOf(ledgers: readonly Ledger[], expected: number): Faults {
  const sum = (read: (ledger: Ledger) => number): number => ledgers.reduce((total, ledger) => total + read(ledger), 0)
  const repeated = sum((ledger) => ledger.repeated)
  const distinct = sum((ledger) => ledger.received) - repeated
  return { missing: Math.max(0, expected - distinct), repeated, jumps: sum((ledger) => ledger.jumps) }
}
