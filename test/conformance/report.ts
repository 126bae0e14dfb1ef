/**
 * `npm run conformance`: runs the conformance tests, counts the proven statements of the standard,
 * and writes docs/conformance.md. Exits with 1 when a statement has no test that passed.
 */
import { readdirSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { run } from 'node:test'
import { fileTimeMs } from '../support/patience.ts'
import { conformancePage, key, root } from './page.ts'
import { citationsOf, type Statement, statements } from './statements.ts'

const files = readdirSync(import.meta.dirname, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.test.js'))
  .toSorted()
  .map((file) => join(import.meta.dirname, file))

const passed = new Set<string>()
const failed = new Map<string, string[]>()
let others = 0

const events = run({ files, concurrency: availableParallelism(), timeout: fileTimeMs })
events.on('test:pass', ({ name, skip }) => {
  if (skip !== undefined) return
  for (const citation of citationsOf(name)) passed.add(key(citation))
})
events.on('test:fail', ({ name, details }) => {
  const citations = citationsOf(name)
  if (citations.length === 0) others += 1
  for (const citation of citations) failed.set(key(citation), [...(failed.get(key(citation)) ?? []), name])
  const { cause } = details.error
  console.log(`failed: ${name}\n${cause instanceof Error ? cause.message : String(cause)}\n`)
})
// A statement is proven if one of its tests passed and none failed.
const isProven = (statement: Statement): boolean =>
  !failed.has(key(statement)) && (passed.has(key(statement)) || statement.standIn !== undefined)

events.on('end', () => {
  const totals: string[] = []
  let missing = 0
  for (const version of ['5.0', '3.1.1'] as const) {
    const all = statements.filter((statement) => statement.version === version)
    const sections = [...new Set(all.map(({ id }) => sectionOf(id)))]
    console.log(`MQTT ${version}`)
    for (const section of sections) {
      const here = all.filter(({ id }) => sectionOf(id) === section)
      const open = here.filter((statement) => !isProven(statement)).map(({ id }) => id)
      const rest = open.length > 0 ? `   open: ${open.join(', ')}` : ''
      console.log(`  ${section.padEnd(5)} ${`${here.length - open.length}/${here.length}`.padStart(7)}${rest}`)
    }
    const proven = all.filter(isProven).length
    missing += all.length - proven
    totals.push(`MQTT ${version}: ${proven}/${all.length} server statements proven`)
  }
  writeFileSync(join(root, 'docs', 'conformance.md'), conformancePage())
  console.log(totals.join('\n'))
  process.exitCode = missing > 0 || others > 0 ? 1 : 0
})
events.resume()

/** `3.1` of `3.1.2-8`. */
function sectionOf(id: string): string {
  return id.split('.').slice(0, 2).join('.')
}
