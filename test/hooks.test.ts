import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Client } from '../lib/connection/client.ts'
import { MqttError } from '../lib/errors.ts'
import { hookNames, Hooks } from '../lib/hooks.ts'
import { checkPlugin } from '../lib/options.ts'
import { Timers } from '../lib/timers.ts'
import type { Plugin } from '../types/hooks.ts'
import type { Message } from '../types/message.ts'
import { ManualClock } from './support/clock.ts'

const message: Message = { topic: 't', payload: Buffer.from('x'), qos: 1, retain: false }
const client = {} as Client

function make(): { clock: ManualClock; timers: Timers; hooks: Hooks; errors: Error[] } {
  const clock = new ManualClock()
  const errors: Error[] = []
  const timers = new Timers(clock, assert.ifError)
  return { clock, timers, hooks: new Hooks(timers, 1000, (error) => errors.push(error)), errors }
}

type Answer = 'yes' | 'no' | 'none' | 'refuses' | 'fails' | 'nonsense'
const answers: Record<Answer, () => unknown> = {
  yes: () => true,
  no: () => false,
  none: () => undefined,
  refuses: () => {
    throw new MqttError('quota-exceeded')
  },
  fails: () => {
    throw new Error('broken')
  },
  nonsense: () => 'true',
}

/** What a row of plugins answers together. */
function model(row: readonly Answer[]): { outcome: 'yes' | number; faults: number } {
  for (const answer of row) {
    if (answer === 'yes') return { outcome: 'yes', faults: 0 }
    if (answer === 'no') return { outcome: 0x87, faults: 0 }
    if (answer === 'refuses') return { outcome: 0x97, faults: 0 }
    if (answer === 'fails' || answer === 'nonsense') return { outcome: 0x80, faults: 1 }
  }
  return { outcome: row.length === 0 ? 'yes' : 0x87, faults: 0 }
}

test('the first opinion counts, no opinion is a no, no hook is a yes: for every row of plugins, at once and later', async () => {
  const kinds = fc.constantFrom(...(Object.keys(answers) as Answer[]))
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(kinds, fc.boolean()), { maxLength: 5 }), async (row) => {
      const { hooks, errors, timers } = make()
      for (const [answer, later] of row) {
        const hook = later ? async () => answers[answer]() : answers[answer]
        hooks.add({ name: answer, authorizePublish: hook } as unknown as Plugin<never>)
      }
      const { outcome, faults } = model(row.map(([answer]) => answer))
      let got: unknown
      try {
        got = (await hooks.authorizePublish(message, client)) === message ? 'yes' : 'something else'
      } catch (error) {
        assert.ok(error instanceof MqttError)
        got = error.reasonCode
      }
      assert.equal(got, outcome)
      assert.equal(errors.length, faults)
      assert.equal(timers.size, 0)
    }),
    { numRuns: 300 },
  )
})

test('an answer that is there at once is given at once, without a promise', () => {
  const { hooks } = make()
  hooks.add({ name: 'a', authorizePublish: () => undefined })
  hooks.add({ name: 'b', authorizePublish: () => true })
  assert.equal(hooks.authorizePublish(message, client), message)
  const plain = make().hooks
  assert.equal(plain.authorizePublish(message, client), message)
  assert.equal(plain.checksPublish, false)
})

test('each plugin has the whole time limit for itself, and the fault names hook and plugin', async () => {
  const { hooks, clock, errors, timers } = make()
  let ask: (answer: undefined) => void = () => undefined
  hooks.add({ name: 'first', authorizePublish: () => new Promise((resolve) => (ask = resolve)) })
  hooks.add({ name: 'second', authorizePublish: () => new Promise(() => undefined) })
  const permitted = Promise.resolve(hooks.authorizePublish(message, client))
  clock.advance(900)
  ask(undefined)
  await new Promise((resolve) => setImmediate(resolve))
  clock.advance(900)
  assert.equal(errors.length, 0)
  clock.advance(100)
  await assert.rejects(permitted, { reasonCode: 0x80 })
  assert.equal(errors.length, 1)
  assert.match(errors[0]?.message ?? '', /authorizePublish.*second.*1000 ms/)
  assert.equal(timers.size, 0)
})

test('a hook is called as a method of its plugin', () => {
  const { hooks } = make()
  class Rules {
    name = 'rules'
    readonly allowed: ReadonlySet<string> = new Set(['t'])
    authorizePublish({ topic }: Message): boolean {
      return this.allowed.has(topic)
    }
  }
  hooks.add(new Rules())
  assert.equal(hooks.authorizePublish(message, client), message)
})

test('the table has every hook of types/hooks.ts, and each of them may be a hook of a plugin', () => {
  const types = readFileSync(join(import.meta.dirname, '..', '..', 'types', 'hooks.ts'), 'utf8')
  const plugin = types.slice(types.indexOf('export interface Plugin<'))
  const named = [...plugin.matchAll(/^ {2}(\w+)\?\(/gm)].map(([, name = '']) => name)
  assert.ok(named.length > 0)
  assert.deepEqual([...hookNames], named)
  for (const name of hookNames) checkPlugin({ name: 'a', [name]: () => undefined })
})

test('a plugin is asked by the hooks that it has, and by no others', () => {
  const checks = {
    connect: 'canConnect',
    authenticate: 'canAuthenticate',
    authorizePublish: 'checksPublish',
    authorizeSubscribe: 'checksSubscribe',
    authorizeDeliver: 'checksDeliver',
    inspect: 'checksPublish',
  } as const
  for (const name of hookNames) {
    const { hooks } = make()
    hooks.add({ name: 'a', [name]: () => undefined })
    const expected = name === 'setup' || name === 'reauthenticate' ? undefined : checks[name]
    for (const check of new Set(Object.values(checks)))
      assert.equal(hooks[check], check === expected, `${name} ${check}`)
  }
})

test('every plugin that inspects is called, whatever those before it return', () => {
  const { hooks } = make()
  const seen: string[] = []
  hooks.add({ name: 'a', inspect: () => void seen.push('a') })
  hooks.add({ name: 'b', inspect: () => void seen.push('b') })
  assert.equal(hooks.authorizePublish(message, client), message)
  assert.deepEqual(seen, ['a', 'b'])
})
