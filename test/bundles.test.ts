/** Programs in one file, as bundlers make them for containers, desktop programs and functions. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { rollup } from 'rollup'
import { version } from '../lib/version.ts'

const root = join(import.meta.dirname, '../..')
const run = promisify(execFile)

/** Starts a broker with listeners, a store and a Client in memory, and ends it. */
const program = `
import { Broker } from ${JSON.stringify(join(root, 'dist/lib/index.js'))}
async function main() {
  const broker = new Broker({ store: process.argv[2] })
  await broker.listen({ tcp: 0, ws: 0 })
  await broker.publish({ topic: 'a', payload: 'b', retain: true, qos: 1 })
  for await (const { payload } of broker.retained('a')) console.log('retained', String(payload))
  await broker.close()
}
main()
`

function folder(t: TestContext, parent: string): string {
  const path = mkdtempSync(join(parent, 'haltere-bundle-'))
  t.after(() => rmSync(path, { recursive: true, force: true }))
  writeFileSync(join(path, 'entry.mjs'), program)
  return path
}

async function assertStarts(path: string, file: string): Promise<void> {
  const { stdout, stderr } = await run(process.execPath, [join(path, file), join(path, 'store')])
  assert.equal(stdout, 'retained b\n')
  assert.equal(stderr, '')
}

for (const [format, file] of [
  ['esm', 'bundle.mjs'],
  ['cjs', 'bundle.cjs'],
] as const) {
  test(`a bundle of esbuild starts (${format})`, async (t) => {
    const path = folder(t, tmpdir()) // No package is found from there.
    // The usual banner for packages that are no modules, such as ws.
    const js = "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);"
    await build({
      entryPoints: [join(path, 'entry.mjs')],
      outfile: join(path, file),
      bundle: true,
      platform: 'node',
      format,
      logLevel: 'error',
      ...(format === 'esm' && { banner: { js } }),
    })
    await assertStarts(path, file)
  })
}

test('a bundle of rollup starts', async (t) => {
  const path = folder(t, join(root, 'dist')) // From there the packages are found that rollup leaves out.
  const bundle = await rollup({ input: join(path, 'entry.mjs'), external: (id) => !/^[./]/.test(id) })
  for (const [format, file] of [
    ['es', 'bundle.mjs'],
    ['cjs', 'bundle.cjs'],
  ] as const) {
    await bundle.write({ file: join(path, file), format, inlineDynamicImports: true })
    await assertStarts(path, file)
    rmSync(join(path, 'store'), { recursive: true })
  }
  await bundle.close()
})

test('the version in the code is that of package.json', () => {
  const { version: published } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
  assert.equal(version, published)
})
