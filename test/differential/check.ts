import fc from 'fast-check'
import type { Command } from '../model/commands.ts'
import { SHARED_TOPIC, timelessConversation } from './commands.ts'
import { compare, type Difference, Knowledge } from './comparison.ts'
import { explained } from './explained.ts'
import { type Server, startHaltere, startMosquitto } from './servers.ts'
import { Side } from './side.ts'

export interface Outcome {
  commands: number
  milliseconds: number
  /** How often each kind of difference was seen. */
  readonly explained: Map<string, number>
}

/** Holds `runs` random conversations with both brokers. Throws with the shortest one in which they differ without explanation. */
export async function check(runs: number, seed: number, path?: string): Promise<Outcome> {
  const begin = performance.now()
  const outcome: Outcome = { commands: 0, milliseconds: 0, explained: new Map() }
  const property = fc.asyncProperty(timelessConversation, (commands) => converse(commands, outcome))
  const details = await fc.check(property, { numRuns: runs, seed, ...(path !== undefined && { path }) })
  outcome.milliseconds = performance.now() - begin
  if (details.counterexample === null) return outcome
  const [shortest] = details.counterexample
  const error = details.errorInstance
  throw new Error(
    [
      error instanceof Error ? error.message : String(error),
      `after these ${shortest.length} commands:`,
      ...shortest.map((one) => `  ${JSON.stringify(one)}`),
      `again: node dist/test/differential/run.js --seed=${details.seed} --path=${details.counterexamplePath?.split(':')[0]}`,
    ].join('\n'),
    { cause: error },
  )
}

async function converse(commands: readonly Command[], outcome: Outcome): Promise<void> {
  const [haltere, mosquitto]: [Server, Server] = await Promise.all([startHaltere(), startMosquitto()])
  await using ours = new Side(haltere)
  await using theirs = new Side(mosquitto)
  const knowledge = new Knowledge()
  for (const [index, command] of commands.entries()) {
    const payload = `m${index}`
    const [mine, other] = await Promise.all([ours.perform(command, payload), theirs.perform(command, payload)])
    if (mine === undefined || other === undefined) continue
    outcome.commands += 1
    knowledge.learn(command, mine, payload)
    // Only while all are connected it is certain that both brokers send it at once.
    const everybodyIsThere = ours.participants.every(({ link }) => link !== undefined)
    const sharedIsDecided =
      everybodyIsThere &&
      command.do === 'publish' &&
      command.topic === SHARED_TOPIC &&
      !knowledge.anyMatch(SHARED_TOPIC)
    explain(knowledge, command, compare(mine, other, sharedIsDecided), outcome)
    for (const [client, seen] of mine.entries()) {
      if (!seen.closed && other[client]?.closed !== true) continue
      await Promise.all([ours.giveUp(client), theirs.giveUp(client)])
    }
  }
}

function explain(knowledge: Knowledge, command: Command, differences: readonly Difference[], outcome: Outcome): void {
  if (differences.length === 0) return
  const step = knowledge.step(command, differences)
  const left: Difference[] = []
  for (const difference of differences) {
    const kind = explained.find((one) => one.recognises(difference, step))
    if (kind === undefined) left.push(difference)
    else outcome.explained.set(kind.name, (outcome.explained.get(kind.name) ?? 0) + 1)
  }
  if (left.length === 0) return
  throw new Error(
    `at ${JSON.stringify(command)}\n` +
      left
        .map(
          ({ client, only, text }) =>
            `only ${only} sends client${client} (MQTT level ${step.level(client) ?? '?'}): ${text}`,
        )
        .join('\n'),
  )
}
