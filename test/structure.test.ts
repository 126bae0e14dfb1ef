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
  // For authors of storages: nothing in lib needs it, so it stands above everything.
  /^lib\/testing\//,
  /^lib\/(cli\.ts|command\/)/,
  /^lib\/index\.ts$/,
  /^lib\/create-broker\.ts$/,
  /^lib\/broker\.ts$/,
  /^lib\/assembly\.ts$/,
  /^lib\/(listeners\.ts$|transports\/|connection\/)/,
  /^lib\/(handlers|administration)\//,
  /^lib\/(sessions|messages|storage|adapters|cluster)\//,
  /^lib\/(hooks|hook-answers|plugin-calls|events|options)\.ts$/,
  /^lib\/(topics|packets)\/(?!reason-codes\.ts)/,
  // What every part may use: files that know nothing of the flow of MQTT, and the table of Reason Codes.
  /^lib\/(usage\/|(application-calls|errors|timers|flush-scheduler|lifecycle|promises|secrets|statistics|version)\.ts$|packets\/reason-codes\.ts$)/,
  /^types\//,
]

function floorOf(file: string): number {
  const floor = floors.findIndex((what) => what.test(file))
  assert.notEqual(floor, -1, `${file}: say in test/structure.test.ts where it belongs`)
  return floor
}

// Parts of a connection that a handler makes.
const knownUpward = [
  'lib/handlers/auth.ts -> lib/connection/authentication.ts',
  'lib/handlers/connect.ts -> lib/connection/authentication.ts',
  'lib/handlers/connect.ts -> lib/connection/client.ts',
]

const inside = imports.filter(({ to }) => /^(lib|types)\//.test(to))
const arrow = ({ from, to }: Pick<Import, 'from' | 'to'>): string => `${from} -> ${to}`

test('imports in lib point down: command, broker, assembly, connection, handlers, sessions, hooks, topics, errors', () => {
  const upward = inside.filter(({ from, to, isType }) => !isType && floorOf(to) < floorOf(from)).map(arrow)
  assert.deepEqual(new Set(upward), new Set(knownUpward))
})

test('the imports of lib have no circle, those of types included', () => {
  const graph = new Map<string, Set<string>>()
  for (const { from, to } of inside) graph.set(from, (graph.get(from) ?? new Set()).add(to))
  assert.deepEqual(circles(graph), [])
})

/** The files that a file needs, over any number of imports. */
function reachable(graph: ReadonlyMap<string, ReadonlySet<string>>, start: string): Set<string> {
  const found = new Set([start])
  for (const file of found) for (const next of graph.get(file) ?? []) found.add(next)
  return found
}

/** For each file that needs itself a shortest way back, and each circle once. */
function circles(graph: ReadonlyMap<string, ReadonlySet<string>>): string[] {
  const found = new Map<string, string>()
  for (const start of graph.keys()) {
    const ways = new Map<string, readonly string[]>([[start, [start]]])
    for (const [file, way] of ways) {
      for (const next of graph.get(file) ?? []) {
        const members = way.toSorted().join()
        if (next === start && !found.has(members)) found.set(members, [...way, start].join(' -> '))
        if (!ways.has(next)) ways.set(next, [...way, next])
      }
    }
  }
  return [...found.values()]
}

test('the look at circles finds them', () => {
  const graph = new Map([
    ['a', new Set(['b', 'd'])],
    ['b', new Set(['c'])],
    ['c', new Set(['a'])],
    ['d', new Set(['e'])],
    ['f', new Set(['f'])],
  ])
  assert.deepEqual(circles(graph), ['a -> b -> c -> a', 'f -> f'])
  assert.deepEqual([...reachable(graph, 'd')], ['d', 'e'])
})

// Folders of implementations, and the files outside that may know them: they choose one, or are built on it.
const implementations: readonly { readonly folder: string; readonly knownTo: RegExp }[] = [
  { folder: 'lib/storage/log/', knownTo: /^lib\/(index|storage\/create-storage)\.ts$/ },
  { folder: 'lib/storage/memory/', knownTo: /^lib\/(index\.ts$|storage\/log\/)/ },
  { folder: 'lib/adapters/', knownTo: /^lib\/storage\/create-storage\.ts$/ },
  { folder: 'lib/cluster/', knownTo: /^lib\/assembly\.ts$/ },
]

const clusterPort = 'lib/cluster/cluster.ts'

test('storages and the cluster are behind ports: few files know an implementation, or even its types', () => {
  const past = inside.filter(({ from, to }) =>
    implementations.some(({ folder, knownTo }) => {
      return to.startsWith(folder) && to !== clusterPort && !from.startsWith(folder) && !knownTo.test(from)
    }),
  )
  assert.deepEqual(past.map(arrow), [])
})

test('no file of lib has more than 450 lines, and half of them at most 120', () => {
  const sizes = files
    .filter((file) => file.startsWith('lib/'))
    .map((file) => ({ file, lines: readFileSync(join(root, file), 'utf8').trimEnd().split('\n').length }))
    .toSorted((one, other) => one.lines - other.lines)
  const long = sizes.filter(({ lines }) => lines > 450).map(({ file }) => file)
  assert.deepEqual(long, [])
  const median = sizes[sizes.length >> 1]
  assert.ok(median !== undefined && median.lines <= 120, `the median is ${median?.lines}`)
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
    ws: 'lib/transports/ws.ts',
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
