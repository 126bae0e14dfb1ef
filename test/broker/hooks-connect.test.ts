import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MqttError } from '../../lib/errors.ts'
import type { Plugin } from '../../types/hooks.ts'
import { connectPacket, deferred, settle, start, unhandled } from '../support/client.ts'

type Connect = NonNullable<Plugin['connect']>

function raise(error: unknown): never {
  throw error
}

for (const [name, answer, letsIn, faults] of [
  ['undefined', () => undefined, true, 0],
  ['true', () => true, true, 0],
  ['false', () => false, false, 0],
  ['an MqttError', () => raise(new MqttError('connection-rate-exceeded')), false, 0],
  ['an Error', () => raise(new Error('broken')), false, 1],
  ['"true"', () => 'true', false, 1],
  ['1', () => 1, false, 1],
  ['{}', () => ({}), false, 1],
] as [string, () => unknown, boolean, number][]) {
  for (const way of ['at once', 'later'] as const) {
    test(`the connect hook returns ${name} ${way}: the connection is ${letsIn ? 'accepted' : 'closed without a byte'}`, async (t) => {
      const rejections = unhandled(t)
      const { open, broker, errors } = start(t, {
        plugins: [
          {
            name: 'a',
            connect: (way === 'at once'
              ? answer
              : async () => {
                  await settle()
                  return answer()
                }) as Connect,
          },
        ],
      })
      const refused: Error[] = []
      broker.on('connectionRefused', (_info, error) => refused.push(error))
      const one = open()
      one.send(connectPacket('one'))
      if (letsIn) {
        assert.equal((await one.receives('connack')).reasonCode, 0)
        await one.quiet()
      } else {
        await one.ended()
        assert.equal(refused.length, 1)
      }
      assert.equal(errors.length, faults)
      assert.equal(broker.stats().timers, 0)
      assert.deepEqual(rejections, [])
    })
  }
}

test('all connect hooks are asked, and one no is enough', async (t) => {
  const asked: string[] = []
  const one = (name: string, answer: boolean | undefined): Plugin => ({
    name,
    connect: ({ transport }) => {
      asked.push(`${name} ${transport}`)
      return answer
    },
  })
  const { open } = start(t, { plugins: [one('a', undefined), one('b', true), one('c', false), one('d', true)] })
  const client = open()
  await client.ended()
  assert.deepEqual(asked, ['a memory', 'b memory', 'c memory'])
})

test('a connect hook whose promise never settles closes the connection after the time limit; others are served', async (t) => {
  let first = true
  const { open, client, clock, errors } = start(t, {
    plugins: [
      {
        name: 'a',
        connect: () => {
          if (!first) return undefined
          first = false
          return new Promise(() => undefined)
        },
      },
    ],
    limits: { hookTimeoutMs: 500 },
  })
  const slow = open()
  slow.send(connectPacket('slow'))
  await settle()
  const other = await client('other')
  clock.advance(499)
  await other.quiet()
  assert.equal(slow.isClosed, false)
  clock.advance(1)
  await slow.ended()
  assert.equal(errors.length, 1)
})

test('a connection that goes while the connect hook is at it is forgotten', async (t) => {
  const rejections = unhandled(t)
  for (const outcome of [undefined, false, new Error('broken')]) {
    const answer = deferred<false | undefined>()
    let signal: AbortSignal | undefined
    const { open, broker } = start(t, {
      plugins: [
        {
          name: 'a',
          connect: (_info, given) => {
            signal = given
            return answer.promise
          },
        },
      ],
    })
    const one = open()
    one.send(connectPacket('one'))
    await settle()
    await one.drop()
    assert.equal(signal?.aborted, true, 'the signal of the hook is aborted')
    if (outcome instanceof Error) answer.reject(outcome)
    else answer.resolve(outcome as false | undefined)
    await settle()
    assert.equal(broker.clients.size, 0)
    assert.equal(broker.stats().timers, 0)
  }
  assert.deepEqual(rejections, [])
})

test('bytes that arrive before the connect hook has decided wait, however many there are', async (t) => {
  const answer = deferred<undefined>()
  const { open } = start(t, { plugins: [{ name: 'a', connect: () => answer.promise }] })
  const one = open()
  one.send(connectPacket('one'), ...Array.from({ length: 1000 }, () => ({ type: 'pingreq' as const })))
  await settle()
  answer.resolve(undefined)
  await one.receives('connack')
  for (let number = 0; number < 1000; number += 1) await one.receives('pingresp')
})
