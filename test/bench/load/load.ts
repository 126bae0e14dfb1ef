/** The process that loads a broker: receives a work from its parent, runs it and sends the outcome back. */
import { allWorks } from '../works/works.ts'
import type { Outcome, Scale, Target } from '../works/work.ts'

export interface Order {
  readonly work: string
  readonly target: Target
  readonly scale: Scale
}

export type Report = { readonly outcome: Outcome } | { readonly error: string }

async function obey(order: Order): Promise<Report> {
  const work = allWorks.find(({ name }) => name === order.work)
  if (work === undefined) return { error: `no work named ${order.work}` }
  try {
    return { outcome: await work.run(order.target, order.scale) }
  } catch (error) {
    return { error: (error as Error).message }
  }
}

process.once('message', (order: Order) => {
  void obey(order).then((report) => process.send!(report, () => process.exit()))
})
process.once('disconnect', () => process.exit()) // The parent process has ended.
