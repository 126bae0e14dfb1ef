/** mqemitter fulfils our contract of an emitter, in its types and in what it does. */
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { suite, test } from 'node:test'
import mqemitter from 'mqemitter'
import type { Emitter, EmitterListener, EmitterMessage } from '../../types/emitter.ts'

const make = (): Emitter => mqemitter()
const neverCalled: EmitterListener = (_message, _done) => assert.fail('it was removed')

const abstractTest: (options: { test: typeof test; builder: (options?: { concurrency?: number }) => Emitter }) => void =
  createRequire(import.meta.url)('mqemitter/abstractTest.js')

suite('the suite of mqemitter', () => abstractTest({ test, builder: (options) => mqemitter(options) }))

suite('an emitter', () => {
  test('gives a message to listeners of its topic and of wildcards, empty levels included', async () => {
    const emitter = make()
    const received: [listener: string, EmitterMessage][] = []
    const listen = (topic: string) =>
      new Promise<void>((resolve) => {
        emitter.on(
          topic,
          (message, done) => {
            received.push([topic, message])
            done()
          },
          resolve,
        )
      })
    for (const topic of ['a/', 'a/+', '#', 'b']) await listen(topic)
    const message = { topic: 'a/', payload: 'x' }
    await new Promise((resolve) => emitter.emit(message, resolve))
    assert.deepEqual(received.map(([topic]) => topic).toSorted(), ['#', 'a/', 'a/+'])
    assert.deepEqual(received[0]?.[1], message)
    await new Promise<void>((resolve) => emitter.close(resolve))
  })

  test('gives nothing to a listener that was removed, and an error once it is closed', async () => {
    const emitter = make()
    await new Promise<void>((resolve) => emitter.on('a', neverCalled, resolve))
    await new Promise<void>((resolve) => emitter.removeListener('a', neverCalled, resolve))
    await new Promise((resolve) => emitter.emit({ topic: 'a' }, resolve))
    await new Promise<void>((resolve) => emitter.close(resolve))
    const error = await new Promise((resolve) => emitter.emit({ topic: 'a' }, resolve))
    assert.ok(error instanceof Error)
  })
})
