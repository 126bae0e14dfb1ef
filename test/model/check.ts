import fc from 'fast-check'
import { conversation } from './commands.ts'
import { Conversation } from './conversation.ts'

export interface Outcome {
  readonly commands: number
  readonly milliseconds: number
}

/** Holds `runs` random conversations against the model. Throws with the shortest one that goes wrong, and how to repeat it. */
export async function check(runs: number, seed: number, path?: string): Promise<Outcome> {
  const begin = performance.now()
  let commands = 0
  const property = fc.asyncProperty(conversation, async (all) => {
    await using held = new Conversation(all.some((one) => one.do === 'restart'))
    await held.run(all)
    commands += held.executed
  })
  const details = await fc.check(property, { numRuns: runs, seed, ...(path !== undefined && { path }) })
  if (details.failed) {
    const [shortest = []] = details.counterexample ?? []
    const error = details.errorInstance
    throw new Error(
      [
        error instanceof Error ? error.message : String(error),
        `after these ${shortest.length} commands:`,
        ...shortest.map((one) => `  ${JSON.stringify(one)}`),
        `again: node dist/test/model/run.js --seed=${details.seed} --path=${details.counterexamplePath?.split(':')[0]}`,
      ].join('\n'),
      { cause: error },
    )
  }
  return { commands, milliseconds: performance.now() - begin }
}
