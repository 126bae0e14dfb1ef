// A store of your own and its test: aedes-persistence in memory, and a journal from which it is read again.
// Run it with `node --test dist/examples/custom-store.js`.
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { deserialize, serialize } from 'node:v8'
import { type Persistence, type PersistenceBroker, testPersistence } from 'haltere/testing'

const memoryStore = createRequire(import.meta.url)('aedes-persistence') as () => Persistence

const changes = [
  'storeRetained',
  'addSubscriptions',
  'removeSubscriptions',
  'cleanSubscriptions',
  'outgoingEnqueue',
  'outgoingEnqueueCombi',
  'outgoingUpdate',
  'outgoingClearMessageId',
  'incomingStorePacket',
  'incomingDelPacket',
  'cleanIncoming',
  'putWill',
  'delWill',
] as const

type Change = (...values: unknown[]) => Promise<unknown>

/** Writes every call that changes something to a file, one a line, before it is done. */
function journalStore(file: string): Persistence {
  const store = memoryStore()
  const setup = store.setup.bind(store)
  const journal = (name: string, values: unknown): void =>
    appendFileSync(file, `${serialize([name, values]).toString('base64')}\n`)
  const originals = new Map<string, Change>()
  for (const name of changes) {
    const original = (store[name] as Change).bind(store)
    originals.set(name, original)
    Object.assign(store, {
      [name]: (...values: unknown[]) => {
        journal(name, values)
        return original(...values)
      },
    })
  }
  return Object.assign(store, {
    async setup(broker: PersistenceBroker): Promise<void> {
      for (const line of existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : []) {
        const [name, values] = deserialize(Buffer.from(line, 'base64')) as [string, unknown[]]
        // A Will belongs to the broker that stored it. A call that was refused is refused again.
        if (name === 'setup') await setup({ ...broker, id: String(values[0]) })
        else
          await originals
            .get(name)?.(...values)
            .catch(() => undefined)
      }
      journal('setup', [broker.id])
      await setup(broker)
    },
  })
}

const folder = mkdtempSync(join(tmpdir(), 'haltere-example-'))
process.on('exit', () => rmSync(folder, { recursive: true }))
const files = new Map<Persistence, string>()

function open(file: string): Persistence {
  const store = journalStore(file)
  files.set(store, file)
  return store
}

testPersistence({
  name: 'journal',
  open: () => open(join(folder, String(files.size))),
  reopen: (closed) => open(files.get(closed) ?? ''),
  // Features that the store of aedes-persistence does not have.
  without: ['commit', 'dollar-topics', 'empty-levels', 'granted-filters'],
})
