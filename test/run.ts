/**
 * Runs the test files below this folder and ends with one line, `N passed, N failed`, which counts tests, not suites:
 * `node dist/test/run.js` those that are quick, `--long` those named `*.long.test.js`, `--all` both of them;
 * `node dist/test/run.js PART…` those whose path contains one of the parts, long or not.
 */
import { readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, relative } from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import { fileTimeMs } from './support/patience.ts'

const words = process.argv.slice(2)
const parts = words.filter((word) => !word.startsWith('--'))
const isWanted = (file: string): boolean => {
  if (parts.length > 0) return parts.some((part) => file.includes(part))
  return words.includes('--all') || file.endsWith('.long.test.js') === words.includes('--long')
}
const files = readdirSync(import.meta.dirname, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.test.js') && isWanted(file))
  .toSorted()
  .map((file) => join(import.meta.dirname, file))

let passed = 0
let failed = 0
const skipped: string[] = []
/** Tests that have begun and not ended: those of a file that ends its process in the middle. */
const open = new Set<string>()
let brokenFiles = 0

interface Place {
  readonly name: string
  readonly file?: string
  readonly line?: number
  readonly column?: number
}
const title = ({ name, file = '', line, column }: Place): string =>
  `${relative(import.meta.dirname, file)}:${line}:${column} ${name}`

// More at once than there are cores: many files wait for a process, a store or a timer.
const events = run({ files, concurrency: availableParallelism() + 1, timeout: fileTimeMs })
events.on('test:enqueue', (test) => {
  if (!files.includes(test.name)) open.add(title(test))
})
events.on('test:pass', (test) => {
  open.delete(title(test))
  const reason = test.skip ?? test.todo
  // A file has a result of its own only when none of its tests has one, or when it ends badly.
  if (files.includes(test.name)) brokenFiles += 1
  else if (reason !== undefined) skipped.push(`${title(test)}: ${reason}`)
  else if (test.details.type !== 'suite') passed += 1
})
events.on('test:fail', (test) => {
  open.delete(title(test))
  const { failureType } = test.details.error as { failureType?: string }
  if (files.includes(test.name)) brokenFiles += 1
  // A suite counts when it fails by itself, for example in a hook, not when one of its tests does.
  else if (test.details.type !== 'suite' || failureType !== 'subtestsFailed') failed += 1
})
events.compose(new spec()).pipe(process.stdout)
events.on('end', () => {
  process.on('exit', () => {
    for (const test of open) console.log(`did not end: ${test}`)
    if (open.size > 0 && brokenFiles === 0) brokenFiles = 1
    failed += brokenFiles
    if (files.length === 0) console.log(`no test file for: ${words.join(' ')}`)
    for (const test of skipped) console.log(`skipped: ${test}`)
    // In continuous integration nothing may be missing: what is skipped there has failed.
    if (process.env['CI'] === 'true') failed += skipped.splice(0).length
    console.log(`${passed} passed, ${failed} failed${skipped.length > 0 ? `, ${skipped.length} skipped` : ''}`)
    if (failed > 0 || passed + skipped.length === 0) process.exitCode = 1
  })
})
