/**
 * `node dist/test/storage/write-golden.js <folder>`: writes stores of every kind, and what is expected of each, as the
 * version does that this is built from. Once for each format: what was written is never made again.
 */
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { ClassicLevel } from 'classic-level'
import { type BrokerOptions, log, type LogOptions, LogPersistence, type Persistence } from '../../lib/index.ts'
import { RedisServer } from '../support/redis.ts'
import { expectedAfterScene, playScene } from './broker-scene.ts'
import { type Expected, GoldenClock, goldenBroker } from './golden.ts'
import { expectedAfterFilling, fillLog } from './log-methods-scene.ts'
import { RedisRecorder } from './redis-commands.ts'

const require = createRequire(import.meta.url)
const levelPersistence: (db: unknown) => Persistence = require('aedes-persistence-level')
const redisPersistence: (options: object) => Persistence = require('aedes-persistence-redis')

const [folder] = process.argv.slice(2)
if (folder === undefined) throw new Error('expected a folder to write to')
if (existsSync(folder)) throw new Error(`${folder}: expected that it is not there; golden files are written once`)

function folderFor(name: string, expected: Expected): string {
  const own = join(folder!, name)
  mkdirSync(own, { recursive: true })
  writeFileSync(join(own, 'expected.json'), `${JSON.stringify(expected, undefined, 2)}\n`)
  return own
}

/** As small as can be, so that there are several. */
const segments = (dir: string): LogOptions => ({ dir, segmentBytes: 4096 })

/** A directory of a log without the lock, which is about the process that has it. */
function removeLocks(dir: string): void {
  for (const name of readdirSync(dir)) if (!name.endsWith('.log')) rmSync(join(dir, name), { recursive: true })
}

async function writeLogByMethods(): Promise<void> {
  const dir = join(folderFor('log-methods', expectedAfterFilling()), 'files')
  const store = new LogPersistence({ ...segments(dir), durability: 'os' })
  await store.open()
  await fillLog(store)
  await store.close()
  removeLocks(dir)
}

async function writeWithBroker(
  persistence: NonNullable<BrokerOptions['persistence']>,
  beforeItCloses?: () => void,
): Promise<void> {
  const errors: Error[] = []
  const broker = goldenBroker(new GoldenClock(), { persistence })
  broker.on('error', (error) => errors.push(error))
  await playScene(broker)
  beforeItCloses?.()
  await broker.close({ graceMs: 0 })
  if (errors.length > 0) throw errors[0]!
}

async function writeLogByBroker(): Promise<void> {
  const dir = join(folderFor('log-closed', expectedAfterScene('closed')), 'files')
  const killed = join(folderFor('log-killed', expectedAfterScene('killed')), 'files')
  await writeWithBroker(log(segments(dir)), () => cpSync(dir, killed, { recursive: true }))
  removeLocks(dir)
  removeLocks(killed)
}

async function writeLevel(): Promise<void> {
  const dir = join(folderFor('level', expectedAfterScene('closed')), 'files')
  await writeWithBroker(levelPersistence(new ClassicLevel(dir)))
  // What LevelDB says about its work, and its lock.
  for (const name of ['LOG', 'LOG.old', 'LOCK']) rmSync(join(dir, name), { force: true })
}

async function writeRedis(): Promise<void> {
  const dir = folderFor('redis', expectedAfterScene('closed'))
  const server = await RedisServer.started()
  const recorder = await RedisRecorder.inFrontOf(server.port)
  await writeWithBroker(redisPersistence({ port: recorder.port }))
  const lines = recorder.commands.map((command) => `${JSON.stringify(command)}\n`)
  writeFileSync(join(dir, 'commands.ndjson'), lines.join(''))
  recorder.close()
  await server.remove()
}

await writeLogByMethods()
await writeLogByBroker()
await writeLevel()
await writeRedis()
