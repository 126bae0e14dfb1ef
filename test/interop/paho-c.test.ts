import assert from 'node:assert/strict'
import { suite, test, type TestContext } from 'node:test'
import mqtt from 'mqtt'
import { startBroker } from './brokers.ts'
import { available, needs, Program } from './programs.ts'

const options = needs("paho_cs_sub of Debian's paho.mqtt.c-examples", available('paho_cs_sub', ['--help']))

/** Prints the Topic Name and the payload of each message. */
function subscribe(t: TestContext, version: string, connection: string, topic: string): Program {
  // Without a terminal it would keep its lines in a buffer: stdbuf makes it write line by line.
  const words = ['paho_cs_sub', '-c', connection, '-V', version, '-t', topic, '-q', '1']
  return new Program(t, 'stdbuf', ['-oL', ...words])
}

for (const version of ['31', '311', '5']) {
  suite(`Paho for C over WebSocket, version ${version}`, () => {
    test('receives the retained message behind its SUBACK, and every message of a burst', options, async (t) => {
      const { wsUrl } = await startBroker(t)
      const publisher = await mqtt.connectAsync(wsUrl, { protocolVersion: 5 })
      t.after(() => publisher.endAsync(true))
      await publisher.publishAsync('burst/0', 'retained', { retain: true, qos: 1 })
      const subscriber = subscribe(t, version, wsUrl, 'burst/#')
      await subscriber.line(/\tretained$/)
      const payloads = ['1', '2', '3', 'x'.repeat(100_000), '5', '6', '7', '8', '9', 'last']
      for (const payload of payloads) publisher.publish('burst/1', payload)
      await subscriber.line(/\tlast$/)
      assert.deepEqual(
        subscriber.lines.filter((line) => line.startsWith('burst/')),
        ['burst/0\tretained', ...payloads.map((payload) => `burst/1\t${payload}`)],
      )
    })
  })
}
