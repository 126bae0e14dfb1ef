/** The page docs/conformance.md: every statement with the tests that prove it. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { citationsOf, type Statement, sentenceOf, statements, type Version } from './statements.ts'

export const root: string = join(import.meta.dirname, '..', '..', '..')

export interface NamedTest {
  /** Path below test/conformance. */
  readonly file: string
  readonly name: string
}

/** All conformance tests, by the names in their source: a name with numbers is a literal. */
export function namedTests(): NamedTest[] {
  const folder = join(root, 'test', 'conformance')
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.ts'))
    .toSorted()
    .flatMap((file) => {
      const source = readFileSync(join(folder, file), 'utf8')
      const names = source.matchAll(/^(?:  )?test\(\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")/gm)
      return [...names].map(([, single, double]) => ({ file, name: (single ?? double ?? '').replaceAll("\\'", "'") }))
    })
}

export function key(statement: { version: Version; id: string }): string {
  return `${statement.version} ${statement.id}`
}

/** The tests of each statement. */
export function testsByStatement(tests: readonly NamedTest[]): Map<string, NamedTest[]> {
  const found = new Map<string, NamedTest[]>()
  for (const test of tests) {
    for (const citation of citationsOf(test.name)) {
      const list = found.get(key(citation))
      if (list === undefined) found.set(key(citation), [test])
      else list.push(test)
    }
  }
  return found
}

function row(statement: Statement, tests: readonly NamedTest[] = []): string {
  const proofs = tests.map(({ file, name }) => `${sentenceOf(name)} ([${file}](../test/conformance/${file}))`)
  if (statement.standIn !== undefined) proofs.push(`Not visible from outside. ${statement.standIn}`)
  const escaped = proofs.join('<br>').replaceAll('|', '\\|')
  return `| ${statement.id} | ${statement.paraphrase} | ${escaped} |`
}

export function conformancePage(tests: readonly NamedTest[] = namedTests()): string {
  const found = testsByStatement(tests)
  const lines = [
    '# Conformance',
    '',
    'Every numbered statement of MQTT 5.0 and MQTT 3.1.1 that binds a Server, in a few words of ours, and the tests that',
    'prove it. The tests speak MQTT byte by byte over a socket and share no code with the library.',
    '`npm run conformance` runs them and counts; it writes this page, too.',
    '',
    'A test carries the numbers of its statements in its name: `[MQTT-3.3.2-2]` is a statement of MQTT 5.0,',
    '`[MQTT-3.1.1: 3.3.2-2]` one of MQTT 3.1.1. MQTT 3.1 has no numbers; its differences are tested in',
    '[v3/mqtt-3.1.test.ts](../test/conformance/v3/mqtt-3.1.test.ts).',
    '',
    'The same tests can be run against another broker: `MQTT_TARGET=/usr/sbin/mosquitto node dist/test/run.js conformance`.',
    'Those that need the hooks, the limits or the clock of this library are skipped then.',
  ]
  for (const version of ['5.0', '3.1.1'] as const) {
    lines.push('', `## MQTT ${version}`, '', '| Statement | In short | Proven by |', '| --- | --- | --- |')
    for (const statement of statements) {
      if (statement.version === version) lines.push(row(statement, found.get(key(statement))))
    }
  }
  return `${lines.join('\n')}\n`
}
