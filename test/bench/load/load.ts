/** The process that loads a broker: gets one work from its parent, does it, answers with the outcome. */
import { works } from '../works/works.ts'
import type { Outcome, Scale, Target } from '../works/work.ts'

export interface Order {
  readonly work: string
  readonly target: Target
  readonly scale: Scale
}

export type Report = { readonly outcome: Outcome } | { readonly error: string }

process.once('message', async (order: Order) => {
  let report: Report
  try {
    const work = works.find(({ name }) => name === order.work)
    if (work === undefined) throw new Error(`no work named ${order.work}`)
    report = { outcome: await work.run(order.target, order.scale) }
  } catch (error) {
    report = { error: (error as Error).message }
  }
  process.send!(report, () => process.exit())
})
process.once('disconnect', () => process.exit()) // the parent is gone
