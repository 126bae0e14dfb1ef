import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { test } from 'node:test'

const root = join(import.meta.dirname, '..', '..')

interface Import {
  /** The file it stands in, from the root of the repository: `lib/broker.ts`. */
  readonly from: string
  /** The file or package that it names. */
  readonly to: string
  /** `import type` is gone when the program runs, so it may point upward. */
  readonly isType: boolean
}

/** The imports and re-exports of a text, each with whether anything of it is left when the program runs. */
export function importsOf(from: string, text: string): Import[] {
  const found: Import[] = []
  const statements = /^(?:import|export)\s+(?:(type)\s+)?(\{[^}]*\}|[^'"{;]*?\{[^}]*\}|[^'"{;]*?)\s*from\s+'([^']+)'/gm
  for (const [, type, names = '', module = ''] of text.matchAll(statements)) {
    const inBraces = /\{([^}]*)\}/
      .exec(names)?.[1]
      ?.split(',')
      .filter((name) => name.trim() !== '')
    const onlyTypes = names.startsWith('{') && inBraces?.every((name) => name.trim().startsWith('type ')) === true
    found.push({ from, to: resolved(from, module), isType: type !== undefined || onlyTypes })
  }
  for (const [, module = ''] of text.matchAll(/^import\s+'([^']+)'|\bimport\(\s*'([^']+)'\s*\)/gm)) {
    if (module !== '') found.push({ from, to: resolved(from, module), isType: false })
  }
  return found
}

function resolved(from: string, module: string): string {
  return module.startsWith('.') ? normalize(join(dirname(from), module)) : module
}

function filesOf(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => join(folder, file))
}

const files = [...filesOf('lib'), ...filesOf('types')]
const imports = files.flatMap((file) => importsOf(file, readFileSync(join(root, file), 'utf8')))

// From the top down. A file imports from its own floor and from those below, never from one above.
const floors: readonly RegExp[] = [
  // For authors of stores: nothing in lib needs it, so it stands above everything.
  /^lib\/testing\//,
  /^lib\/(cli\.ts|command\/)/,
  /^lib\/index\.ts$/,
  /^lib\/broker\.ts$/,
  /^lib\/(transports\/|connection\/(connections?|authentication|client)\.ts$)/,
  /^lib\/connection\/(?!(connections?|authentication|client)\.ts$)/,
  /^lib\/handlers\//,
  /^lib\/(sessions|messages|cluster)\/|lib\/storage\/(commit-queue|recovery|stored-\w+|storage-refusal|create-storage|superseded)\.ts$/,
  /^lib\/hooks\.ts$/,
  /^lib\/(topics|storage|adapters|packets)\/(?!reason-codes\.ts)/,
  // What everybody may have: the parts that know nothing of the flow of MQTT, and the table of Reason Codes.
  /^lib\/((errors|options|timers|flush-scheduler|statistics|version|core)\.ts$|packets\/reason-codes\.ts$)/,
  /^types\//,
]

function floorOf(file: string): number {
  const floor = floors.findIndex((what) => what.test(file))
  assert.notEqual(floor, -1, `${file}: say in test/structure.test.ts where it belongs`)
  return floor
}

// Made by a handler, and a part of the connection: the one way up.
const exceptions = new Set([
  'lib/handlers/auth.ts lib/connection/authentication.ts',
  'lib/handlers/connect.ts lib/connection/authentication.ts',
  'lib/handlers/connect.ts lib/connection/client.ts',
])

test('imports in lib point down: index, broker, connection, handlers, sessions, topics, errors, types', () => {
  const upward = imports
    .filter(({ isType, to }) => !isType && /^(lib|types)\//.test(to))
    .filter(({ from, to }) => floorOf(to) < floorOf(from) && !exceptions.has(`${from} ${to}`))
    .map(({ from, to }) => `${from} imports ${to}`)
  assert.deepEqual(upward, [])
})

test('topics, packets and types know nothing of a broker, not even its types', () => {
  const allowed = /^(lib\/(topics|packets)\/|lib\/errors\.ts$|types\/|node:)/
  const wrong = imports
    .filter(({ from }) => /^lib\/(topics|packets)\//.test(from))
    .filter(({ to }) => !allowed.test(to))
    .map(({ from, to }) => `${from} imports ${to}`)
  assert.deepEqual(wrong, [])
  assert.deepEqual(
    imports.filter(({ from, to, isType }) => from.startsWith('types/') && !(isType && /^(types\/|node:)/.test(to))),
    [],
  )
})

test('the suite for authors of stores needs topics, errors and types, and nothing needs it', () => {
  const allowed = /^(lib\/(testing|topics)\/|lib\/errors\.ts$|types\/|node:)/
  const wrong = imports
    .filter(({ from, to }) => (from.startsWith('lib/testing/') ? !allowed.test(to) : to.startsWith('lib/testing/')))
    .map(({ from, to }) => `${from} imports ${to}`)
  assert.deepEqual(wrong, [])
})

test('a dependency has one door', () => {
  const doors: Record<string, Set<string>> = {}
  for (const { from, to } of imports) {
    if (/^(lib|types)\/|^node:/.test(to)) continue
    doors[to] ??= new Set()
    doors[to].add(from)
  }
  const fixed = {
    mqemitter: 'lib/messages/bus.ts',
    ws: 'lib/transports/websocket.ts',
    'readable-stream': 'lib/transports/streams.ts',
    fastq: 'lib/adapters/aedes/keyed-queue.ts',
    'aedes-persistence/promisified.js': 'lib/adapters/aedes/promise-form.ts',
  }
  for (const [name, door] of Object.entries(fixed)) assert.deepEqual([...(doors[name] ?? [])], [door], name)
  for (const [name, from] of Object.entries(doors)) assert.equal(from.size, 1, `${name}: ${[...from].join(', ')}`)

  const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>
  }
  assert.deepEqual(
    Object.keys(doors).filter((name) => !((name.split('/')[0] ?? '') in dependencies)),
    [],
    'only what package.json lists',
  )
})

test('no file and no folder is called utils, helpers, common or misc', () => {
  assert.deepEqual(
    files.filter((file) => /(^|\/)(utils?|helpers?|common|misc)(\.ts$|\/)/.test(file)),
    [],
  )
})

test('the look at imports sees what is imported and what is only a type', () => {
  const text = `import type { A } from './a.ts'
import { type B } from './b.ts'
import { type C, c } from '../c.ts'
import d from 'd'
import e, { type E } from 'e'
export { f } from './f.ts'
export type * from './g.ts'
import {
  h,
} from './h.ts'
import './i.ts'
`
  assert.deepEqual(
    importsOf('lib/x/y.ts', text).map(({ to, isType }) => `${to}${isType ? ' type' : ''}`),
    [
      'lib/x/a.ts type',
      'lib/x/b.ts type',
      'lib/c.ts',
      'd',
      'e',
      'lib/x/f.ts',
      'lib/x/g.ts type',
      'lib/x/h.ts',
      'lib/x/i.ts',
    ],
  )
})
