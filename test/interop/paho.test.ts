import assert from 'node:assert/strict'
import { join } from 'node:path'
import { suite, test, type TestContext } from 'node:test'
import { startBroker } from './brokers.ts'
import { available, needs, Program } from './programs.ts'

/** The scripts stay beside the source of this test: the compiler moves only TypeScript. */
const scripts = join(import.meta.dirname, '../../../test/interop/paho')

/** Debian gives its library to its own Python, which need not be the first one in the path. */
const candidates = ['python3', '/usr/bin/python3']
const python = candidates.find((program) => available(program, ['-c', 'import paho.mqtt.client']))
const options = needs("Python's paho-mqtt", python !== undefined)

function run(t: TestContext, script: string, ...words: (string | number)[]): Program {
  return new Program(t, python ?? 'python3', [join(scripts, script), ...words.map(String)])
}

for (const [name, protocol] of [
  ['3.1', 3],
  ['3.1.1', 4],
  ['5.0', 5],
] as const) {
  suite(`Paho for Python, MQTT ${name}`, () => {
    test('a subscriber receives what the introductory program publishes at QoS 1', options, async (t) => {
      const { port } = await startBroker(t)
      const subscriber = run(t, 'subscriber.py', port, protocol, 3)
      await subscriber.line(/^subscribed \[2\]$/)
      assert.deepEqual(await run(t, 'introduction.py', port, protocol).done(), ['published True'])
      await subscriber.line(/^message paho\/test\/single hello from Paho 1 0$/)
      await run(t, 'introduction.py', port, protocol).done()
      await run(t, 'introduction.py', port, protocol).done()
      assert.equal((await subscriber.done()).filter((line) => line.startsWith('message ')).length, 3)
    })

    test('a program that leaves before it has read CONNACK has published all the same', options, async (t) => {
      const { port } = await startBroker(t)
      const subscriber = run(t, 'subscriber.py', port, protocol, 1)
      await subscriber.line(/^subscribed/)
      await run(t, 'without_loop.py', port, protocol).done()
      await subscriber.line(/^message paho\/test\/single no loop 1 0$/)
      await subscriber.done()
    })
  })
}
