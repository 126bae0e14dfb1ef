import assert from 'node:assert/strict'
import { Duplex } from 'node:stream'
import { test } from 'node:test'
import { Input, type InputOwner } from '../../lib/connection/input.ts'
import { FlushScheduler } from '../../lib/flush-scheduler.ts'
import type { Packet } from '../../types/packets.ts'
import { deferred, settle } from '../support/client.ts'
import { bytes } from '../support/wire.ts'

const KiB = 1024

/** A connection that writes down which packets are handled. */
class Owner implements InputOwner {
  isOpen = true
  get takesPackets(): boolean {
    return this.isOpen
  }
  outboundBusy = false
  expectsAuthentication = false
  /** What `handle` returns, for packets of this type. */
  readonly answers = new Map<Packet['type'], () => void | Promise<void>>()
  scheduled = 0
  readonly #log: string[] = []

  handle(packet: Packet): void | Promise<void> {
    this.#log.push('packetId' in packet && packet.packetId > 0 ? `${packet.type} ${packet.packetId}` : packet.type)
    return this.answers.get(packet.type)?.()
  }

  handleFailed(error: Error): void {
    this.#log.push(`failed: ${error.message}`)
  }

  inputEnded(): void {
    this.#log.push('ended')
  }

  schedule(): void {
    this.scheduled += 1
  }

  /** Returns the events since the last call. */
  log(): string[] {
    return this.#log.splice(0)
  }
}

interface Setting {
  readonly input: Input
  readonly owner: Owner
  readonly turn: FlushScheduler
  readonly stream: Duplex
  /** Bytes come in, in the notation of `wire.ts`. */
  push(notation: string): void
}

function make(): Setting {
  const stream = new Duplex({ read: () => undefined, write: (_chunk, _encoding, callback) => callback() })
  const owner = new Owner()
  const turn = new FlushScheduler(assert.ifError)
  const input = new Input(stream, owner, turn, { protocolLevel: 5, maximumPacketSize: 1024 * KiB })
  stream.resume()
  return { input, owner, turn, stream, push: (notation) => input.push(bytes(notation)) }
}

const publish = (packetId: string): string => `34 <"t" ${packetId} 00 'x'>`

// ─── a publisher that is paused ──────────────────────────────────────────────────────────────────────────────────────

test('acknowledgements of a publisher that is paused count at once, its other packets wait in their order', () => {
  const { input, owner, push } = make()
  input.pause()
  push(`${publish('0001')} 40 02 0009 c0 00 50 02 0008 ${publish('0002')} 70 02 0007`)
  assert.deepEqual(owner.log(), ['puback 9', 'pubrec 8', 'pubcomp 7'])
  assert.equal(input.isWaiting, true)
  input.resume()
  assert.deepEqual(
    [owner.log(), owner.scheduled],
    [[], 1],
    'not at once: whoever resumes is in the middle of something',
  )
  push('40 02 0006')
  assert.deepEqual(owner.log(), ['publish 1', 'pingreq', 'publish 2', 'puback 6'])
  assert.equal(input.isWaiting, false)
})

test('PUBREL of a publisher that is paused is none of its acknowledgements: it does not overtake its PUBLISH', () => {
  const { input, owner, push } = make()
  input.pause()
  push(`${publish('0001')} 62 02 0001 ${publish('0001')} 40 02 0009`)
  assert.deepEqual(owner.log(), ['puback 9'])
  input.resume()
  input.process()
  assert.deepEqual(owner.log(), ['publish 1', 'pubrel 1', 'publish 1'])
})

test('a publisher is resumed when each pause has its resume', () => {
  const { input, owner, push } = make()
  input.pause()
  input.pause()
  push('c0 00')
  input.resume()
  input.process()
  assert.deepEqual([owner.log(), owner.scheduled], [[], 0])
  input.resume()
  input.process()
  assert.deepEqual([owner.log(), owner.scheduled], [['pingreq'], 1])
})

test('1,024 packets are deferred; behind them acknowledgements wait too', () => {
  const { input, owner, push } = make()
  input.pause()
  push('{1023 c0 00} 40 02 0001')
  assert.deepEqual(owner.log(), ['puback 1'])
  push('c0 00 40 02 0002')
  assert.deepEqual(owner.log(), [])
  input.resume()
  input.process()
  const log = owner.log()
  assert.deepEqual([log.length, log.at(-1)], [1025, 'puback 2'])
})

test('512 KiB of packets are deferred; then 64 KiB more are read', () => {
  const { input, owner, stream, push } = make()
  input.pause()
  const large = `30 <"t" 00 {${64 * KiB} 61}>`
  for (let count = 0; count < 7; count += 1) push(large)
  push('40 02 0001')
  assert.deepEqual(owner.log(), ['puback 1'])
  push(large)
  push('40 02 0002')
  assert.deepEqual(owner.log(), [])
  assert.equal(stream.isPaused(), false)
  push(large)
  assert.equal(stream.isPaused(), true)
  input.resume()
  input.process()
  assert.equal(owner.log().filter((line) => line === 'puback 2').length, 1)
  assert.equal(stream.isPaused(), false)
})

// ─── order ───────────────────────────────────────────────────────────────────────────────────────────────────────────

test('packets wait while the one before them is being handled', async () => {
  const { input, owner, push } = make()
  const { promise, resolve } = deferred()
  owner.answers.set('subscribe', () => promise)
  push('82 <0001 00 "a" 00> c0 00')
  push('c0 00')
  assert.deepEqual([owner.log(), input.isWaiting], [['subscribe 1'], true])
  resolve()
  await settle()
  assert.deepEqual([owner.log(), input.isWaiting, input.handled], [['pingreq', 'pingreq'], false, 3])
})

test('a handler that fails, at once or later, is reported and blocks no packet', async () => {
  const { owner, push } = make()
  owner.answers.set('subscribe', () => Promise.reject(new Error('later')))
  owner.answers.set('unsubscribe', () => {
    throw new Error('at once')
  })
  push('82 <0001 00 "a" 00>')
  await settle()
  push('a2 <0002 00 "a"> c0 00')
  assert.deepEqual(owner.log(), ['subscribe 1', 'failed: later', 'unsubscribe 2', 'failed: at once', 'pingreq'])
})

test('the AUTH that a handler waits for is handled although that one is not done', async () => {
  const { owner, push } = make()
  const { promise, resolve } = deferred()
  owner.answers.set('subscribe', () => promise)
  push('82 <0001 00 "a" 00>')
  owner.expectsAuthentication = true
  push('f0 00')
  owner.expectsAuthentication = false
  push('c0 00')
  assert.deepEqual(owner.log(), ['subscribe 1', 'auth'])
  resolve()
  await settle()
  assert.deepEqual(owner.log(), ['pingreq'])
})

test('bytes that are no packet fail, after the packets before them', () => {
  const { owner, push } = make()
  owner.handleFailed = function handleFailed(): void {
    this.isOpen = false
  }
  push('c0 00 00 00 c0 00')
  assert.deepEqual(owner.log(), ['pingreq'])
})

test('no packet is handled for a Client that does not read, but the minimum for each chunk that it takes', () => {
  const { input, owner, push, stream } = make()
  owner.outboundBusy = true
  push('{5 c0 00}')
  assert.deepEqual([owner.log(), input.isWaiting], [[], true])
  input.process(2)
  assert.equal(owner.log().length, 2)
  push(`30 <"t" 00 {${64 * KiB} 61}>`)
  assert.equal(stream.isPaused(), true, 'so much may wait')
  owner.outboundBusy = false
  input.process()
  assert.deepEqual([owner.log().length, stream.isPaused()], [4, false])
})

test('a turn that is exhausted leaves the remaining packets to the next one', () => {
  const { input, owner, turn, push } = make()
  push('{5000 c0 00}')
  assert.deepEqual([owner.log().length, owner.scheduled, turn.used], [4096, 1, 4096])
  assert.equal(input.isWaiting, true)
  turn.used = 0
  input.process()
  assert.equal(owner.log().length, 904)
})

// ─── the end ─────────────────────────────────────────────────────────────────────────────────────────────────────────

test('at the end of the stream all packets are handled, also of a publisher that is paused', () => {
  const { input, owner, push } = make()
  input.pause()
  push(`${publish('0001')} ${publish('0002')}`)
  assert.deepEqual(owner.log(), [])
  input.end()
  assert.deepEqual(owner.log(), ['publish 1', 'publish 2', 'ended'])
})

test('the end waits for the packet that is being handled, and for those behind it', async () => {
  const { input, owner, push } = make()
  const { promise, resolve } = deferred()
  owner.answers.set('subscribe', () => promise)
  push('82 <0001 00 "a" 00> c0 00')
  input.end()
  assert.deepEqual(owner.log(), ['subscribe 1'])
  resolve()
  await settle()
  assert.deepEqual(owner.log(), ['pingreq', 'ended'])
})

test('a handler that waits for an AUTH does not keep the connection when none can come any more', () => {
  const { input, owner, push } = make()
  owner.answers.set('subscribe', () => new Promise(() => undefined))
  push('82 <0001 00 "a" 00>')
  owner.expectsAuthentication = true
  input.end()
  assert.deepEqual(owner.log(), ['subscribe 1', 'ended'])
})

test('a closed stream pauses no publisher; the result says whether packets are left', async () => {
  const paused = make()
  paused.input.pause()
  paused.push('c0 00')
  assert.equal(paused.input.finish(), false)
  assert.deepEqual(paused.owner.log(), ['pingreq'])

  const busy = make()
  const { promise, resolve } = deferred()
  busy.owner.answers.set('subscribe', () => promise)
  busy.push('82 <0001 00 "a" 00> c0 00')
  assert.equal(busy.input.finish(), true)
  resolve()
  await settle()
  assert.deepEqual(busy.owner.log(), ['subscribe 1', 'pingreq'])

  const ended = make()
  ended.push('c0')
  ended.owner.isOpen = false
  assert.equal(ended.input.finish(), false, 'the connection has ended')
})

test('after the end of the connection nothing is kept and the stream flows on', () => {
  const { input, owner, stream, push } = make()
  input.pause()
  push(`30 <"t" 00 {${600 * KiB} 61}> ${'c0 00 '.repeat(10)} 30 <"t" 00 {${70 * KiB} 61}>`)
  assert.equal(stream.isPaused(), true)
  owner.isOpen = false
  input.close()
  assert.equal(stream.isPaused(), false)
  assert.equal(input.decoder.bufferedBytes, 0)
  input.resume()
  input.process()
  assert.deepEqual(owner.log(), [])
})
