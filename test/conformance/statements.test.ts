import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { conformancePage, key, namedTests, root, testsByStatement } from './page.ts'
import { citationsOf, clientDuties, statements } from './statements.ts'

test('217 statements of MQTT 5.0 and 122 of MQTT 3.1.1 bind a Server, each listed once', () => {
  assert.equal(statements.filter(({ version }) => version === '5.0').length, 217)
  assert.equal(statements.filter(({ version }) => version === '3.1.1').length, 122)
  assert.equal(new Set(statements.map(key)).size, statements.length)
})

test('every statement that can be seen from outside has a test', () => {
  const found = testsByStatement(namedTests())
  const without = statements.filter((statement) => statement.standIn === undefined && !found.has(key(statement)))
  assert.deepEqual(without.map(key), [])
})

test('every number in a name is a statement', () => {
  const known = new Set(statements.map(key))
  for (const version of ['5.0', '3.1.1'] as const)
    for (const id of clientDuties[version]) known.add(key({ version, id }))
  for (const { name } of namedTests()) {
    const numbers = name.match(/\[[^\]]*\]/g) ?? []
    assert.equal(numbers.length, citationsOf(name).length, name)
    for (const citation of citationsOf(name)) assert.ok(known.has(key(citation)), `${key(citation)} in ${name}`)
  }
})

test('docs/conformance.md is what the tests say', () => {
  const page = readFileSync(join(root, 'docs', 'conformance.md'), 'utf8')
  assert.equal(page, conformancePage(), 'run npm run conformance, which writes the page')
})

test('this broker opens no connections of its own [MQTT-3.1.1: 7.0.0-1]', () => {
  const folder = join(root, 'lib')
  for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.ts')) continue
    assert.doesNotMatch(readFileSync(join(folder, file), 'utf8'), /\bcreateConnection\(|\b(?:net|tls)\.connect\(/, file)
  }
})
