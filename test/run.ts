/**
 * Runs every test file below this folder, or those whose path contains one of the arguments,
 * and ends with the line `N passed, N failed`.
 */
import { readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'

const wanted = process.argv.slice(2)
const files = readdirSync(import.meta.dirname, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.test.js'))
  .filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)))
  .toSorted()
  .map((file) => join(import.meta.dirname, file))

const counts = { passed: 0, failed: 0, skipped: 0 }
const events = run({ files, concurrency: availableParallelism(), timeout: 180_000 })
events.on('test:pass', ({ skip, todo, details }) => {
  if (details.type === 'suite') return
  if (skip !== undefined || todo !== undefined) counts.skipped += 1
  else counts.passed += 1
})
events.on('test:fail', () => {
  counts.failed += 1
})
events.compose(new spec()).pipe(process.stdout)
events.on('end', () => {
  const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : ''
  process.exitCode = counts.failed > 0 || files.length === 0 ? 1 : 0
  process.on('exit', () => console.log(`${counts.passed} passed, ${counts.failed} failed${skipped}`))
})
