/** no room for a message is no acknowledgement for it, and no end of the broker. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import type { ProtocolLevel } from '../../types/packets.ts'
import { publishPacket, TestClient } from '../support/client.ts'
import { Random } from '../fuzz/random.ts'
import { BrokerProcess } from './broker-process.ts'
import { Ledger, payloadOf, summary } from './ledger.ts'
import { Subscriber } from './subscriber.ts'

// Long, so that a few hundred messages fill what there is.
const topic = `disk/${'x'.repeat(1500)}`
const MOST_MESSAGES = 3000

/** One after another; the ledger knows what became of each. */
class Sender {
  readonly #broker: BrokerProcess
  readonly #ledger: Ledger
  readonly #level: ProtocolLevel
  #client: TestClient | undefined
  static #sequence = 0

  constructor(broker: BrokerProcess, ledger: Ledger, level: ProtocolLevel) {
    this.#broker = broker
    this.#ledger = ledger
    this.#level = level
  }

  /** The Reason Code of the acknowledgement, undefined when the connection ends without one. */
  async send(): Promise<number | undefined> {
    if (this.#client === undefined || this.#client.isClosed) {
      this.#client = new TestClient(await this.#broker.open(), this.#level)
      await this.#client.connect(`sender ${this.#level}`, { cleanStart: true })
    }
    Sender.#sequence += 1
    const sequence = Sender.#sequence
    this.#ledger.sending(topic, sequence, 1)
    this.#client.send(publishPacket(topic, payloadOf(topic, sequence), { qos: 1, packetId: 1 }))
    const answer = await this.#client.receives('puback').catch(() => undefined)
    if (answer === undefined) assert.ok(this.#client.isClosed)
    else if (answer.reasonCode < 0x80) this.#ledger.acknowledged(topic, sequence)
    else this.#ledger.refused(topic, sequence)
    return answer?.reasonCode
  }

  /** Sends until a message is taken or, with `isTaken` false, until one is not. */
  async until(isTaken: boolean): Promise<number | undefined> {
    for (let left = MOST_MESSAGES; left > 0; left -= 1) {
      const code = await this.send()
      if ((code !== undefined && code < 0x80) === isTaken) return code
    }
    return assert.fail(`no message was ${isTaken ? 'taken' : 'refused'}`)
  }

  drop(): void {
    this.#client?.stream.destroy()
  }
}

/** Fills the disk, makes room with `free`, kills the broker, and compares. */
async function fills(broker: BrokerProcess, free?: () => void): Promise<Ledger> {
  const ledger = new Ledger()
  const subscriber = new Subscriber({
    clientId: 'receiver',
    level: 5,
    open: broker.open,
    ledger,
    random: new Random(1),
    topics: { [topic]: 1 },
  })
  const five = new Sender(broker, ledger, 5)
  const four = new Sender(broker, ledger, 4)
  try {
    await broker.start()
    subscriber.start()
    await subscriber.until(() => subscriber.isSubscribed)
    // What is acknowledged is forgotten: only a receiver that is away fills a disk.
    await subscriber.stop()
    const code = await five.until(false)
    assert.ok(code === 0x97 || code === 0x83, `refused with ${code}`)
    assert.equal(await four.until(false), undefined, 'MQTT 3.1.1 has no word for it')
    // Clients that need no disk are served.
    const other = new TestClient(await broker.open())
    await other.connect('other', { cleanStart: true })
    await other.subscribe('live')
    await other.publish('live', 'x')
    assert.equal(await other.message(), 'x')
    await other.drop()
    if (free !== undefined) {
      free()
      await five.until(true)
      await four.until(true)
    }
    assert.deepEqual(broker.crashes, [])
    await broker.kill()
    broker.fileLimit = undefined
    await broker.start()
    subscriber.start()
    await subscriber.until(() => subscriber.isOnline)
    await five.until(true)
    await subscriber.until(() => ledger.owed === 0 && subscriber.isQuiet)
    await subscriber.ping()
  } finally {
    five.drop()
    four.drop()
    broker.release()
    await subscriber.stop()
    await broker.kill()
  }
  assert.deepEqual(broker.crashes, [])
  return ledger
}

function mount(folder: string): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', folder], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

suite('a disk that is full', () => {
  const folder = mkdtempSync(join(tmpdir(), 'haltere-disk-'))

  test('takes no message, loses none, and takes messages again when there is room', async (t) => {
    if (!mount(folder)) return t.skip('only root can mount a small file system')
    try {
      const filler = join(folder, 'filler')
      const store = join(folder, 'store')
      writeFileSync(filler, Buffer.alloc(600_000, 1))
      const ledger = await fills(new BrokerProcess({ kind: 'log', folder: store }), () => rmSync(filler))
      t.diagnostic(JSON.stringify(ledger.figures))
      assert.equal(summary(ledger.balance()), '')
    } finally {
      execFileSync('umount', [folder])
      rmSync(folder, { recursive: true })
    }
  })

  test('files that may not grow are like a disk that is full', async (t) => {
    const store = mkdtempSync(join(tmpdir(), 'haltere-limit-'))
    try {
      const broker = new BrokerProcess({ kind: 'log', folder: store })
      broker.fileLimit = 1_000_000
      const ledger = await fills(broker)
      t.diagnostic(JSON.stringify(ledger.figures))
      assert.equal(summary(ledger.balance()), '')
    } finally {
      rmSync(store, { recursive: true })
    }
  })
})
