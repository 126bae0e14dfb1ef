import assert from 'node:assert/strict'
import { after, suite, test, type TestContext } from 'node:test'
import { CertificateAuthority } from '../transports/certificates.ts'
import { isReference, startBroker } from './brokers.ts'
import { needs, Program } from './programs.ts'

const options = needs('mosquitto_sub')

function publish(t: TestContext, port: number, version: string, ...words: string[]): Promise<string[]> {
  return new Program(t, 'mosquitto_pub', ['-p', String(port), '-V', version, ...words]).done()
}

/** Prints `message topic payload qos retain` for each message, and `Subscribed` before. */
function subscribe(t: TestContext, port: number, version: string, ...words: string[]): Program {
  const format = ['-d', '-F', 'message %t %p %q %r']
  // Without a terminal it would keep `Subscribed` in its buffer until it ends: stdbuf makes it write line by line.
  return new Program(t, 'stdbuf', ['-oL', 'mosquitto_sub', '-p', String(port), '-V', version, ...format, ...words])
}

async function messages(program: Program): Promise<string[]> {
  return (await program.done()).filter((line) => line.startsWith('message '))
}

for (const version of ['mqttv31', 'mqttv311', 'mqttv5']) {
  suite(`Mosquitto's clients with -V ${version}`, () => {
    for (const qos of ['0', '1', '2']) {
      test(`publish and subscribe at QoS ${qos}`, options, async (t) => {
        const { port } = await startBroker(t)
        const subscriber = subscribe(t, port, version, '-t', 'room/+/temperature', '-q', qos, '-C', '3')
        await subscriber.line(/^Subscribed/)
        for (const value of ['20', '21', '22']) {
          await publish(t, port, version, '-t', 'room/1/temperature', '-q', qos, '-m', value)
        }
        assert.deepEqual(
          await messages(subscriber),
          ['20', '21', '22'].map((value) => `message room/1/temperature ${value} ${qos} 0`),
        )
      })

      test(`keep a retained message at QoS ${qos}, and remove it`, options, async (t) => {
        const { port } = await startBroker(t)
        await publish(t, port, version, '-t', 'kept/a', '-q', qos, '-r', '-m', 'first')
        await publish(t, port, version, '-t', 'kept/a', '-q', qos, '-r', '-m', 'second')
        const first = subscribe(t, port, version, '-t', 'kept/#', '-q', qos, '-C', '1')
        assert.deepEqual(await messages(first), [`message kept/a second ${qos} 1`])
        await publish(t, port, version, '-t', 'kept/a', '-q', qos, '-r', '-n')
        await publish(t, port, version, '-t', 'kept/z', '-q', qos, '-r', '-m', 'last')
        const second = subscribe(t, port, version, '-t', 'kept/#', '-q', qos, '-C', '1')
        assert.deepEqual(await messages(second), [`message kept/z last ${qos} 1`])
      })

      test(`send the Will Message at QoS ${qos} of a Client that vanishes`, options, async (t) => {
        const { port } = await startBroker(t)
        const watcher = subscribe(t, port, version, '-t', 'status/#', '-q', qos, '-C', '1')
        await watcher.line(/^Subscribed/)
        const will = ['--will-topic', 'status/1', '--will-payload', 'offline', '--will-qos', qos, '--will-retain']
        const device = subscribe(t, port, version, '-t', 'orders', ...will)
        await device.line(/^Subscribed/)
        device.kill()
        assert.deepEqual(await messages(watcher), [`message status/1 offline ${qos} 0`])
        const late = subscribe(t, port, version, '-t', 'status/#', '-q', qos, '-C', '1')
        assert.deepEqual(await messages(late), [`message status/1 offline ${qos} 1`])
      })
    }

    test('find what came while they were away', options, async (t) => {
      const { port } = await startBroker(t)
      const session = ['-c', '-i', 'sleeper', '-t', 'queue/#', '-q', '2']
      await subscribe(t, port, version, ...session, '-E').done()
      for (const qos of ['1', '2']) await publish(t, port, version, '-t', 'queue/a', '-q', qos, '-m', `at ${qos}`)
      assert.deepEqual(await messages(subscribe(t, port, version, ...session, '-C', '2')), [
        'message queue/a at 1 1 0',
        'message queue/a at 2 2 0',
      ])
    })

    test('move a payload of a megabyte', options, async (t) => {
      const { port } = await startBroker(t)
      const format = ['-F', '%l']
      const subscriber = subscribe(t, port, version, '-t', 'big', '-q', '1', '-C', '1', ...format)
      await subscriber.line(/^Subscribed/)
      const words = ['-p', String(port), '-V', version, '-t', 'big', '-q', '1', '-s']
      await new Program(t, 'mosquitto_pub', words, 'x'.repeat(1_000_000)).done()
      await subscriber.line(/^1000000$/)
    })

    const faultOfReference = isReference && version === 'mqttv5' ? { skip: 'Mosquitto 2.0 ends its own client' } : {}
    test('publish line by line, many messages in a row', { ...options, ...faultOfReference }, async (t) => {
      const { port } = await startBroker(t)
      const subscriber = subscribe(t, port, version, '-t', 'lines', '-q', '2', '-C', '500')
      await subscriber.line(/^Subscribed/)
      const numbers = Array.from({ length: 500 }, (_, index) => String(index))
      const words = ['-p', String(port), '-V', version, '-t', 'lines', '-q', '2', '-l']
      await new Program(t, 'mosquitto_pub', words, `${numbers.join('\n')}\n`).done()
      assert.deepEqual(
        await messages(subscriber),
        numbers.map((number) => `message lines ${number} 2 0`),
      )
    })
  })
}

test("Mosquitto's clients share a subscription with -V mqttv5", options, async (t) => {
  const { port } = await startBroker(t)
  const members = ['a', 'b'].map((id) =>
    subscribe(t, port, 'mqttv5', '-i', id, '-t', '$share/group/work', '-q', '1', '-C', '2'),
  )
  await Promise.all(members.map((member) => member.line(/^Subscribed/)))
  for (const job of ['1', '2', '3', '4']) await publish(t, port, 'mqttv5', '-t', 'work', '-q', '1', '-m', job)
  const received = (await Promise.all(members.map(messages))).flat()
  assert.deepEqual(
    received.toSorted(),
    ['1', '2', '3', '4'].map((job) => `message work ${job} 1 0`),
  )
})

test("Mosquitto's request and response (mosquitto_rr) with -V mqttv5", needs('mosquitto_rr'), async (t) => {
  const { port } = await startBroker(t)
  const words = ['-p', String(port), '-V', 'mqttv5', '-t', 'ask', '-e', 'answers/1', '-m', 'how warm?', '-F', '%t %p']
  const observer = subscribe(t, port, 'mqttv5', '-t', 'ask', '-F', 'asked %p, answer to %R', '-C', '1')
  await observer.line(/^Subscribed/)
  const request = new Program(t, 'mosquitto_rr', words)
  await observer.line(/^asked how warm\?, answer to answers\/1$/)
  await publish(t, port, 'mqttv5', '-t', 'answers/1', '-m', '21')
  assert.deepEqual(await request.done(), ['answers/1 21'])
})

suite("Mosquitto's clients over TLS", () => {
  const authority = new CertificateAuthority()
  after(() => authority.remove())

  for (const version of ['mqttv311', 'mqttv5']) {
    test(`publish and subscribe with -V ${version}`, options, async (t) => {
      const { tlsPort } = await startBroker(t, authority)
      const trust = ['--cafile', authority.file, '-h', 'localhost', '-t', 'secret', '-q', '1']
      const subscriber = subscribe(t, tlsPort, version, ...trust, '-C', '1')
      await subscriber.line(/^Subscribed/)
      await publish(t, tlsPort, version, ...trust, '-m', 'hello')
      assert.deepEqual(await messages(subscriber), ['message secret hello 1 0'])
    })
  }
})
