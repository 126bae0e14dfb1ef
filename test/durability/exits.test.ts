/** the process ends at every call of its store, before or after something was stored. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Random } from '../fuzz/random.ts'
import { isLong } from '../support/length.ts'
import { patienceMs } from '../support/patience.ts'
import { BrokerProcess } from './broker-process.ts'
import { Ledger, summary } from './ledger.ts'
import { Publisher } from './publisher.ts'
import { Subscriber } from './subscriber.ts'

/** Two messages at QoS 1 and 2 from CONNECT to the last acknowledgement. False when there are fewer calls. */
async function endsAt(moment: 'before' | 'after', at: number): Promise<boolean> {
  const broker = new BrokerProcess({ kind: 'exits' })
  const ledger = new Ledger()
  const common = {
    open: broker.open,
    ledger,
    random: new Random(at),
    level: at % 2 === 0 ? (4 as const) : (5 as const),
  }
  const topics = [
    { topic: 'two', qos: 2, retain: false },
    { topic: 'one', qos: 1, retain: true },
  ] as const
  const subscriber = new Subscriber({ ...common, clientId: 's', topics: { two: 2, one: 1 } })
  const publisher = new Publisher({ ...common, clientId: 'p', topics })
  let isEnded = false
  let isOver = false
  try {
    broker.words = [moment, String(at)]
    await broker.start()
    const restarted = broker.ended().then(async () => {
      if (isOver) return
      isEnded = true
      broker.words = []
      await broker.start()
    })
    subscriber.start()
    await within(subscriber.until(() => subscriber.isSubscribed))
    publisher.start()
    publisher.publish(4)
    await within(publisher.complete())
    await within(subscriber.until(() => ledger.owed === 0 && subscriber.isQuiet))
    await subscriber.ping()
    if (isEnded) await restarted
  } finally {
    isOver = true
    broker.release()
    await Promise.all([subscriber.stop(), publisher.stop()])
    await broker.remove()
  }
  assert.deepEqual(broker.crashes, [])
  assert.equal(summary(ledger.balance()), '', `the end came ${moment} call ${at}`)
  return isEnded
}

async function within(promise: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('it goes no further')), patienceMs)
  })
  await Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

suite('a broker that ends', () => {
  for (const moment of ['before', 'after'] as const) {
    test(`${moment} ${isLong ? 'any call' : 'some calls'} of its log keeps what it acknowledged`, async (t) => {
      const wrong: string[] = []
      let at = 1
      for (; at < 60; at += isLong ? 1 : 9) {
        try {
          if (!(await endsAt(moment, at))) break
        } catch (error) {
          wrong.push((error as Error).message)
        }
        if (wrong.length > 4) break
      }
      t.diagnostic(`up to call ${at}`)
      assert.deepEqual(wrong, [])
      assert.ok(at > 5, 'the store was hardly called')
    })
  }

  test('when it is closed while connections end lets its process end', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'haltere-closes-'))
    const program = fileURLToPath(new URL('brokers/closes.js', import.meta.url))
    const child = spawn(process.execPath, [program, folder], { stdio: ['ignore', 'pipe', 'inherit'] })
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    const late = setTimeout(() => child.kill('SIGKILL'), patienceMs)
    const [code] = await once(child, 'close')
    clearTimeout(late)
    rmSync(folder, { recursive: true, force: true })
    assert.deepEqual([output, code], ['closed\n', 0])
  })
})
