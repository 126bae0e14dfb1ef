/**
 * A process that a test stops: commits without end, compacts all the time, and prints the number of each commit that
 * was resolved. With `fill` it commits until one fails,
 * and says so; with `hold` it only keeps the store open.
 */
import { LogPersistence } from '../../lib/storage/log/log-persistence.ts'
import type { PersistenceOperation } from '../../types/persistence.ts'
import { broker } from './log-operations.ts'

/** Message `number` to the one queue there is, and the end of the one ten before it. */
export function step(number: number): PersistenceOperation[] {
  const publish: PersistenceOperation = {
    kind: 'publish',
    packet: {
      cmd: 'publish',
      topic: `t/${number % 5}`,
      payload: Buffer.alloc(100, number & 0xff),
      qos: 1,
      retain: false,
      brokerId: broker.id,
      brokerCounter: number,
    },
    targets: [{ clientId: 'c', qos: 1, retain: false, messageId: number }],
    retain: true,
  }
  return number > 10 ? [publish, { kind: 'complete', clientId: 'c', messageId: number - 10 }] : [publish]
}

async function main([dir = '', mode = '', first = '1']: readonly string[]): Promise<void> {
  const store = new LogPersistence({ dir, segmentBytes: 65_536, durability: 'os', onWarning: () => undefined })
  await store.open()
  await store.commit([
    { kind: 'session', clientId: 'c', session: { owner: undefined, expiryInterval: 60, expiresAt: null } },
  ])
  process.stdout.write('ready\n')
  if (mode === 'hold') return void process.stdin.resume()
  if (mode === 'fill') return fill(store)
  for (let number = Number(first); ; number += 1) {
    void store.commit(step(number)).then(() => process.stdout.write(`${number}\n`))
    if (number % 8 === 0) await new Promise(setImmediate)
    if (number % 500 === 0) await store.compact()
  }
}

async function fill(store: LogPersistence): Promise<void> {
  for (let number = 1; ; number += 1) {
    const large = step(number)
    try {
      await store.commit(large)
    } catch (error) {
      process.stdout.write(`${(error as NodeJS.ErrnoException).code} ${number} ${(error as Error).message}\n`)
      process.exit()
    }
  }
}

if (process.argv[1] === import.meta.filename) await main(process.argv.slice(2))
