/** Combines all rounds: medians, ratios and faults. */
import type { Report } from './load/load.ts'
import type { PeerName } from './peers/peers.ts'
import { median } from './statistics.ts'
import type { Figure, Work } from './works/work.ts'

export interface Value {
  readonly median: number
  readonly samples: readonly number[]
  /** Factor by which the figure is better than that of mosquitto; below 1 it is worse. */
  readonly ratio: number | undefined
}

export interface Row {
  readonly work: string
  readonly title: string
  readonly key: string
  readonly figure: Figure
  readonly values: Partial<Record<PeerName, Value>>
}

export interface Results {
  readonly machine: string
  readonly date: string
  readonly rounds: number
  readonly brokers: Partial<Record<PeerName, string>>
  readonly rows: readonly Row[]
  /** Losses, duplicates, failures and cuts, one per line. */
  readonly remarks: readonly string[]
}

export class Collection {
  readonly #samples = new Map<string, number[]>()
  /** Remarks, with the brokers that each concerns. */
  readonly #remarks = new Map<
    string,
    { readonly work: string; readonly text: string; readonly brokers: Set<PeerName> }
  >()

  add(work: Work, broker: PeerName, report: Report): void {
    if ('error' in report) {
      this.remark(work, broker, report.error)
      return
    }
    const { figures, faults, note } = report.outcome
    for (const [key, value] of Object.entries(figures)) {
      const id = `${work.name} ${key} ${broker}`
      const samples = this.#samples.get(id) ?? []
      if (Number.isFinite(value)) samples.push(value)
      this.#samples.set(id, samples)
    }
    if (note !== undefined) this.remark(work, broker, note)
    for (const [kind, count] of Object.entries(faults ?? {})) {
      if (count > 0) this.remark(work, broker, `${count} ${kind === 'jumps' ? 'out of order' : kind}`)
    }
  }

  remark({ name }: Work, broker: PeerName, text: string): void {
    const id = `${name}: ${text}`
    const remark = this.#remarks.get(id) ?? { work: name, text, brokers: new Set() }
    remark.brokers.add(broker)
    this.#remarks.set(id, remark)
  }

  get remarks(): readonly string[] {
    return [...this.#remarks.values()].map(({ work, text, brokers }) => `${work} (${[...brokers].join(', ')}): ${text}`)
  }

  rows(works: readonly Work[], brokers: readonly PeerName[]): Row[] {
    return works.flatMap((work) =>
      Object.entries(work.figures).map(([key, figure]) => {
        const of = (broker: PeerName): number => median(this.#samples.get(`${work.name} ${key} ${broker}`) ?? [])
        const reference = of('mosquitto')
        const values: Partial<Record<PeerName, Value>> = {}
        for (const broker of brokers) {
          const value = of(broker)
          if (Number.isNaN(value)) continue
          const ratio = { more: value / reference, less: reference / value, neither: Number.NaN }[figure.better]
          values[broker] = {
            median: value,
            samples: this.#samples.get(`${work.name} ${key} ${broker}`) ?? [],
            ratio: Number.isFinite(ratio) ? ratio : undefined,
          }
        }
        return { work: work.name, title: work.title, key, figure, values }
      }),
    )
  }
}
