import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { QoS } from '../../types/packets.ts'
import { type Delivery, Ledger, payloadOf } from './ledger.ts'

const topic = 'a/b'

function delivery(sequence: number, fields: Partial<Delivery> = {}): Delivery {
  return { topic, payload: payloadOf(topic, sequence), qos: 1, dup: false, connection: 1, ...fields }
}

/** A book with one subscriber and messages 1 to `count`, sent and acknowledged. */
function book(qos: QoS = 1, count = 3): Ledger {
  const ledger = new Ledger()
  ledger.subscribed('s', { [topic]: 2 })
  for (let sequence = 1; sequence <= count; sequence += 1) {
    ledger.sending(topic, sequence, qos)
    ledger.acknowledged(topic, sequence)
  }
  return ledger
}

function kinds(ledger: Ledger): string[] {
  return ledger.balance().map(({ kind }) => kind)
}

suite('the ledger', () => {
  test('balances when everything came once and in order', () => {
    const ledger = book()
    assert.equal(ledger.owed, 3)
    for (const sequence of [1, 2, 3]) ledger.received('s', delivery(sequence))
    assert.equal(ledger.owed, 0)
    assert.deepEqual(ledger.balance(), [])
  })

  test('finds an acknowledged message that did not come', () => {
    const ledger = book()
    ledger.received('s', delivery(1))
    ledger.received('s', delivery(3))
    assert.deepEqual(kinds(ledger), ['lost'])
    assert.equal(ledger.owed, 1)
  })

  test('does not miss what was not acknowledged, was refused, is at QoS 0 or came before the subscription', () => {
    const ledger = new Ledger()
    ledger.sending(topic, 1, 1)
    ledger.acknowledged(topic, 1)
    ledger.subscribed('s', { [topic]: 2, c: 0 })
    ledger.sending(topic, 2, 1)
    ledger.sending(topic, 3, 1)
    ledger.refused(topic, 3)
    ledger.sending('c', 1, 1)
    ledger.acknowledged('c', 1)
    assert.deepEqual(ledger.balance(), [])
    assert.equal(ledger.owed, 0)
  })

  test('owes nothing when a message came before its acknowledgement', () => {
    const ledger = new Ledger()
    ledger.subscribed('s', { [topic]: 2 })
    ledger.sending(topic, 1, 1)
    ledger.received('s', delivery(1))
    ledger.acknowledged(topic, 1)
    ledger.acknowledged(topic, 1)
    assert.deepEqual(ledger.balance(), [])
    assert.equal(ledger.figures.acknowledged, 1)
    ledger.sending(topic, 2, 1)
    ledger.acknowledged(topic, 2)
    ledger.received('s', delivery(2))
    assert.equal(ledger.owed, 0)
  })

  test('finds a QoS 2 message that came twice, with DUP or without, on whatever connection', () => {
    const ledger = book(2, 2)
    ledger.received('s', delivery(1, { qos: 2 }))
    ledger.received('s', delivery(2, { qos: 2 }))
    ledger.received('s', delivery(2, { qos: 2, dup: true, connection: 2 }))
    ledger.received('s', delivery(1, { qos: 2, connection: 3 }))
    assert.deepEqual(kinds(ledger), ['doubled', 'doubled'])
  })

  test('finds a QoS 1 message that comes again on the same connection without DUP', () => {
    const ledger = book()
    for (const sequence of [1, 2, 3]) ledger.received('s', delivery(sequence))
    ledger.received('s', delivery(2, { dup: true }))
    ledger.received('s', delivery(2, { connection: 2 }))
    assert.deepEqual(ledger.balance(), [])
    assert.deepEqual([ledger.figures.repeated, ledger.figures.unmarked], [2, 1])
    ledger.received('s', delivery(2, { connection: 2 }))
    assert.deepEqual(kinds(ledger), ['not marked'])
  })

  test('lets a QoS 1 message that was published twice come twice without DUP', () => {
    const ledger = new Ledger()
    ledger.subscribed('s', { [topic]: 1 })
    ledger.sending(topic, 1, 1)
    ledger.sending(topic, 1, 1)
    ledger.received('s', delivery(1))
    ledger.received('s', delivery(1))
    assert.deepEqual(ledger.balance(), [])
    ledger.received('s', delivery(1))
    assert.deepEqual(kinds(ledger), ['not marked'])
  })

  test('finds messages out of order, and lets repetitions be', () => {
    const ledger = book()
    ledger.received('s', delivery(1))
    ledger.received('s', delivery(3))
    ledger.received('s', delivery(1, { dup: true }))
    assert.deepEqual(kinds(ledger), ['lost'])
    ledger.received('s', delivery(2))
    assert.deepEqual(kinds(ledger), ['out of order'])
  })

  test('finds what was never sent, acknowledged without being sent, or not asked for', () => {
    const ledger = book(1, 1)
    ledger.received('s', delivery(1))
    ledger.received('s', delivery(9))
    ledger.acknowledged(topic, 8)
    ledger.refused(topic, 8)
    ledger.sending('other', 1, 1)
    ledger.received('s', { ...delivery(1), topic: 'other', payload: payloadOf('other', 1) })
    ledger.received('nobody', delivery(1))
    assert.deepEqual(kinds(ledger), ['never sent', 'never sent', 'never sent', 'not asked for', 'not asked for'])
  })

  test('finds a damaged payload and a payload with the wrong topic', () => {
    const ledger = book(1, 2)
    const damaged = Buffer.concat([payloadOf(topic, 1), Buffer.from('x')])
    ledger.received('s', delivery(1, { payload: damaged }))
    ledger.received('s', delivery(2, { topic: 'a/c' }))
    assert.deepEqual(kinds(ledger), ['corrupted', 'corrupted', 'lost', 'lost'])
  })

  test('finds a delivery at the wrong QoS', () => {
    const ledger = book(1, 1)
    ledger.received('s', delivery(1, { qos: 2 }))
    assert.deepEqual(kinds(ledger), ['wrong QoS'])
  })

  test('finds a wrong Session Present', () => {
    const ledger = new Ledger()
    ledger.connecting('c')
    ledger.connected('c', false, true)
    ledger.connected('c', true, false)
    assert.deepEqual(ledger.balance(), [])
    ledger.connected('c', false, false)
    ledger.connected('d', true, true)
    assert.deepEqual(kinds(ledger), ['session', 'session'])
    // Whether the broker knew a CONNECT that it did not answer is open.
    const open = new Ledger()
    open.connecting('c')
    open.connected('c', false, false)
    open.connecting('d')
    open.connected('d', true, false)
    assert.deepEqual(open.balance(), [])
  })

  test('finds a retained message that is too old, was never sent, is damaged or is not there', () => {
    const ledger = book(1, 3)
    for (const sequence of [1, 2, 3]) ledger.received('s', delivery(sequence))
    ledger.sending(topic, 4, 1)
    const least = ledger.acknowledgedOf(topic)
    assert.equal(least, 3)
    ledger.retained(topic, payloadOf(topic, 3), least)
    ledger.retained(topic, payloadOf(topic, 4), least)
    ledger.retained('none', undefined, ledger.acknowledgedOf('none'))
    assert.deepEqual(ledger.balance(), [])
    ledger.retained(topic, payloadOf(topic, 2), least)
    ledger.retained(topic, payloadOf(topic, 5), least)
    ledger.retained(topic, Buffer.concat([payloadOf(topic, 3), Buffer.from('x')]), least)
    ledger.retained(topic, undefined, least)
    assert.deepEqual(kinds(ledger), ['retained', 'retained', 'retained', 'retained'])
  })
})
