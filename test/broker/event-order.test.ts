import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BrokerEvents } from '../../types/events.ts'
import type { Client } from '../../types/client.ts'
import { settle, start, unhandled, will, type Setting } from '../support/client.ts'

const names = [
  'clientConnected',
  'clientDisconnected',
  'clientError',
  'connectionRefused',
  'published',
  'subscribed',
  'unsubscribed',
  'dropped',
  'error',
] as const satisfies (keyof BrokerEvents)[]

type Act = (broker: Setting['broker'], client: Client | undefined) => unknown

/** What a listener can do in the middle of an event. */
const acts: Record<string, Act> = {
  'ends the connection': (_, client) => client?.disconnect(),
  publishes: (broker) => broker.publish({ topic: 'from/listener' }),
  'publishes to nobody, invalidly': (broker) => broker.publish({ topic: '#' }).catch(() => undefined),
  subscribes: (broker) => void broker.subscribe('#', () => undefined),
  'closes the broker': (broker) => void broker.close({ graceMs: 0 }),
  'throws an error': () => {
    throw new Error('of the listener')
  },
  'throws what is no error': () => {
    throw undefined
  },
  'throws an object without a prototype': () => {
    throw Object.create(null)
  },
  rejects: () => Promise.reject(new Error('of the listener')),
  'ends all other connections': (broker) => {
    for (const other of broker.clients.values()) void other.disconnect()
  },
}

for (const [what, act] of Object.entries(acts)) {
  for (const acting of names) {
    test(`every listener sees the events in one order when the first listener of ${acting} ${what}`, async (t) => {
      const rejections = unhandled(t)
      const { broker, open } = start(t, {
        plugins: [{ name: 'denies', authorizeDeliver: ({ topic }) => topic !== 'denied' }],
      })
      const first: string[] = []
      const second: string[] = []
      let hasActed = false
      for (const name of names) {
        broker.on(name, (...values: unknown[]) => {
          first.push(name)
          if (name !== acting || hasActed) return undefined
          hasActed = true
          const known = values.find((value): value is Client => typeof (value as Client)?.disconnect === 'function')
          return act(broker, known) as undefined
        })
        broker.on(name, () => second.push(name))
      }
      // Any of these may fail, because the broker or the connection may have been ended.
      const other = open()
      await other.connect('other').catch(() => undefined)
      const one = open()
      await one.connect('one', { will: will('of/will', 'x') }).catch(() => undefined)
      await one.subscribe('#').catch(() => undefined)
      await broker.publish({ topic: 'denied' }).catch(() => undefined)
      await one.unsubscribe('#').catch(() => undefined)
      if (!one.isClosed) one.write('00 00')
      const stranger = open()
      if (!stranger.isClosed) stranger.write('00 00')
      other.stream.destroy()
      // oxlint-disable-next-line typescript/no-misused-promises -- a listener that rejects
      broker.prependOnceListener('clientDisconnected', () => Promise.reject(new Error('late')))
      await settle()
      await broker.close({ graceMs: 0 })
      await settle()
      assert.ok(hasActed || acting === 'connectionRefused', acting)
      assert.deepEqual(second, first)
      assert.ok(second.indexOf('clientConnected') < second.indexOf('clientDisconnected'))
      assert.deepEqual(rejections, [])
    })
  }
}

test('an event that happens in a listener comes after the one that is being emitted, however deep', async (t) => {
  const { broker } = start(t)
  const told: string[] = []
  broker.on('published', ({ topic }) => {
    told.push(`1 ${topic}`)
    if (topic.length < 4) void broker.publish({ topic: `${topic}x` })
    if (topic === 'x') broker.emit('storeRecovered')
    if (topic === 'xx') throw new Error('in the middle')
  })
  broker.on('published', ({ topic }) => told.push(`2 ${topic}`))
  broker.on('error', ({ message }) => told.push(message))
  await broker.publish({ topic: 'x' })
  await settle()
  const expected = ['1 x', '2 x', '1 xx', '2 xx', 'in the middle', '1 xxx', '2 xxx', '1 xxxx', '2 xxxx']
  assert.deepEqual(told, expected)
})

test('a Will is published after the end of its connection is told', async (t) => {
  const { broker, client } = start(t)
  const told: string[] = []
  broker.on('published', ({ topic }) => told.push(topic))
  broker.on('clientDisconnected', ({ id }) => told.push(id))
  const one = await client('one', { will: will('of/will', 'x') })
  await one.drop()
  assert.deepEqual(told, ['one', 'of/will'])
})

test('a listener of error that fails hides the error from no other listener', async (t) => {
  const rejections = unhandled(t)
  const warnings: string[] = []
  const warned = (warning: Error): void => void warnings.push(warning.message)
  process.on('warning', warned)
  t.after(() => process.off('warning', warned))
  const { broker, errors } = start(t)
  broker.prependListener('error', () => {
    throw new Error('synchronously')
  })
  // oxlint-disable-next-line typescript/no-misused-promises -- a listener that rejects
  broker.prependListener('error', () => Promise.reject(new Error('later')))
  broker.on('published', () => {
    throw new Error('of published')
  })
  await broker.publish({ topic: 't' })
  await settle()
  assert.deepEqual(
    errors.map(({ message }) => message),
    ['of published'],
  )
  assert.deepEqual(rejections, [])
  assert.deepEqual(warnings.toSorted(), ['later', 'synchronously'])
})
