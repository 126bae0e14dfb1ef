import assert from 'node:assert/strict'
import { execFile, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { connectAsync } from 'mqtt'
import { Broker } from '../../lib/index.ts'
import { checkPlugin, parseOptions } from '../../lib/options.ts'
import { statements } from '../conformance/statements.ts'
import { anchors, blocks, links, namesInTables, page, pages, root, tableRows } from './pages.ts'

const folder = join(root, 'dist', 'docs-blocks')

test('every relative link leads to a file, and to a heading when it names one', () => {
  const broken = pages.flatMap((one) =>
    links(one)
      .filter(({ target, anchor }) => {
        if (!existsSync(join(root, target))) return true
        return anchor !== '' && !anchors(readFileSync(join(root, target), 'utf8')).includes(anchor)
      })
      .map(({ target, anchor }) => `${one.path}: ${target}#${anchor}`),
  )
  assert.deepEqual(broken, [])
})

/** `4 MiB` or `10,000` as a number. */
function numberOf(cell: string): number {
  const [digits = '', unit] = cell.replaceAll(',', '').split(' ')
  return Number(digits) * (unit === 'MiB' ? 1024 * 1024 : unit === 'KiB' ? 1024 : 1)
}

test('the table of limits has every limit with its default', () => {
  const rows = tableRows(page('docs/limits.md')).filter(([name = '']) => name.startsWith('`'))
  const documented = Object.fromEntries(rows.map(([name = '', value = '']) => [name.slice(1, -1), numberOf(value)]))
  assert.deepEqual(documented, { ...parseOptions().limits })
  assert.ok(page('docs/options.md').includes(`[${rows.length} defaults](limits.md)`))
})

test('the table of options has every option', () => {
  assert.deepEqual(namesInTables(page('docs/options.md')).toSorted(), Object.keys(parseOptions()).toSorted())
})

test('the page of hooks has every hook in its table and under a heading of its own', () => {
  // The check of plugins names all hooks to whoever misspells one.
  assert.throws(
    () => checkPlugin({ name: 'misspelt', authorisePublish: () => true }),
    ({ message }: Error) => {
      const hooks = /there are (.*)$/.exec(message)?.[1]?.split(', ') ?? []
      assert.ok(hooks.length > 0)
      assert.deepEqual(namesInTables(page('docs/hooks.md')).toSorted(), hooks.toSorted())
      const headings = anchors(page('docs/hooks.md'))
      assert.deepEqual(
        hooks.filter((hook) => !headings.includes(hook.toLowerCase())),
        [],
      )
      return true
    },
  )
})

test('the page of events has every event, every reason of a drop and every number', async () => {
  const types = readFileSync(join(root, 'types', 'events.ts'), 'utf8')
  const events = [...types.matchAll(/^ {2}(\w+): \[/gm)].map(([, name = '']) => name)
  const reasons = [...(/type DropReason = (.*)/.exec(types)?.[1] ?? '').matchAll(/'([\w-]+)'/g)].map(
    ([, name = '']) => name,
  )
  await using broker = new Broker()
  const numbers = Object.keys(broker.stats())
  assert.ok(events.length > 0 && reasons.length > 0)
  assert.deepEqual(namesInTables(page('docs/events.md')).toSorted(), [...events, ...reasons, ...numbers].toSorted())
})

test('the table of $SYS topics has every topic that the broker publishes', async () => {
  await using broker = new Broker()
  const topics: string[] = []
  for await (const { topic } of broker.retained('$SYS/#')) topics.push(topic)
  assert.deepEqual(namesInTables(page('docs/sys-topics.md')).toSorted(), topics.toSorted())
})

test('the tables of the command have every option of its help', () => {
  const help = execFileSync(process.execPath, [join(root, 'dist/lib/cli.js'), '--help'], { encoding: 'utf8' })
  const options = [...help.matchAll(/ (--[a-z-]+)/g)].map(([, name = '']) => name)
  const documented = namesInTables(page('docs/command.md')).map((name) => name.split(' ')[0])
  assert.ok(options.length > 0)
  assert.deepEqual(new Set(documented), new Set(options))
  const inReadme = namesInTables(page('README.md')).filter((name) => name.startsWith('--'))
  assert.deepEqual(
    inReadme.filter((name) => !options.includes(name)),
    [],
  )
})

test('the map names every file and folder of lib', () => {
  const tree = /```text\nlib\/\n([\s\S]*?)```/.exec(page('docs/architecture.md'))?.[1] ?? ''
  const named = new Set(tree.split(/[\s,/]+/).map((name) => name.replace(/\.ts$/, '')))
  const entries = readdirSync(join(root, 'lib'), { recursive: true, encoding: 'utf8' })
  assert.deepEqual(
    entries.map((entry) => basename(entry, '.ts')).filter((name) => !named.has(name)),
    [],
  )
})

test('the list of decisions leads to every decision', () => {
  const listed = pages.filter(({ path }) => path === 'docs/decisions/README.md').flatMap(links)
  const written = pages.map(({ path }) => path).filter((path) => /^docs\/decisions\/(?!README)/.test(path))
  assert.deepEqual(listed.map(({ target }) => target).toSorted(), written.toSorted())
})

test('the pages say how many statements of the standard are proven as they are counted', () => {
  const [five, three] = ['5.0', '3.1.1'].map((wanted) => statements.filter(({ version }) => version === wanted).length)
  for (const path of ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'docs/decisions/proof-of-the-standard.md']) {
    assert.match(page(path), new RegExp(`\\b${five}\\b.*\\b${three}\\b`, 's'), path)
  }
})

test('every block of JSON is JSON', () => {
  for (const { text } of pages) for (const block of blocks(text, 'json')) JSON.parse(block)
})

test('every block of TypeScript compiles against the built package, and the first program runs', async (t) => {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  // What a block does not declare itself: the broker of the page that it stands in.
  // And the packages that come without types.
  const untyped = ['aedes-persistence-level', 'aedes-persistence-mongodb', 'aedes-persistence-redis']
  const globals = [
    "declare const broker: import('haltere').Broker",
    ...untyped.map((name) => `declare module '${name}'`),
  ]
  writeFileSync(join(folder, 'globals.d.ts'), `${globals.join('\n')}\n`)
  let count = 0
  for (const { path, text } of pages) {
    for (const [index, block] of blocks(text, 'ts').entries()) {
      count += 1
      writeFileSync(join(folder, `${path.replaceAll(/[/.]/g, '-')}-${index + 1}.ts`), `${block}\nexport {}\n`)
    }
    assert.deepEqual(blocks(text, 'js'), [], `${path}: programs are in TypeScript, so that they can be checked`)
  }
  assert.ok(count > 30)
  const [program = ''] = blocks(page('README.md'), 'ts')
  assert.match(program, /tcp: 1883/)
  writeFileSync(join(folder, 'first-program.ts'), program.replace('tcp: 1883', 'tcp: 0'))
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({
      extends: '../../tsconfig.json',
      compilerOptions: {
        rootDir: '.',
        outDir: 'out',
        noUnusedLocals: false,
        noUnusedParameters: false,
        isolatedDeclarations: false,
        declaration: false,
      },
      include: ['.'],
      exclude: ['out'],
    }),
  )
  const compiler = join(root, 'node_modules/typescript/bin/tsc')
  try {
    await promisify(execFile)(process.execPath, [compiler, '-p', folder])
  } catch (error) {
    assert.fail((error as { stdout?: string }).stdout ?? String(error))
  }

  const running = spawn(process.execPath, [join(folder, 'out/first-program.js')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => running.kill('SIGKILL'))
  const lines = createInterface({ input: running.stdout })[Symbol.asyncIterator]()
  const client = await connectAsync(String((await lines.next()).value))
  t.after(() => client.endAsync(true))
  client.publish('greeting', 'hello')
  assert.equal((await lines.next()).value, 'hello')
})
