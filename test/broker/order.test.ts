import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ack, connectPacket, deferred, publishPacket, settle, start, type TestClient } from '../support/client.ts'

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve))
}

test('a hook that takes its time now and then keeps the order of each Client [MQTT-4.6.0-5]', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.integer({ min: 0, max: 3 }), fc.constantFrom(0, 1, 2)), { minLength: 5, maxLength: 30 }),
      async (plan) => {
        const { client, broker } = start(t, {
          plugins: [
            {
              name: 'a',
              authorizePublish: (message) => {
                const delay = plan[Number(message.payload.toString().split(' ')[1])]?.[0] ?? 0
                return delay === 0 ? true : turns(delay).then(() => true)
              },
            },
          ],
        })
        const watcher = await client('watcher')
        await watcher.subscribe('#', { qos: 0 })
        const publishers = [await client('a'), await client('b', { level: 4 })]
        for (const [index, publisher] of publishers.entries()) {
          publisher.send(
            ...plan.map(([, qos], number) =>
              publishPacket('t', `${index} ${number}`, { qos: qos, packetId: qos === 0 ? 0 : number + 1 }),
            ),
          )
        }
        const seen: number[][] = [[], []]
        for (let count = 0; count < plan.length * 2; count += 1) {
          const [index, number] = (await watcher.message()).split(' ').map(Number) as [number, number]
          seen[index]?.push(number)
        }
        const expected = plan.map((_, number) => number)
        assert.deepEqual(seen, [expected, expected])
        // The acknowledgements come in the same order, QoS 1 and QoS 2 each [MQTT-4.6.0-2] [MQTT-4.6.0-3].
        for (const publisher of publishers) {
          for (const [number, [, qos]] of plan.entries()) {
            if (qos === 0) continue
            assert.equal((await publisher.receives(qos === 1 ? 'puback' : 'pubrec')).packetId, number + 1)
          }
        }
        await broker.close({ graceMs: 0 })
      },
    ),
    { numRuns: 25 },
  )
})

test('a QoS 2 PUBLISH a thousand times in one chunk, while a hook is at it, is one message [MQTT-4.3.3-10]', async (t) => {
  for (const delay of [0, 3]) {
    for (const level of [4, 5] as const) {
      let asked = 0
      const { client } = start(t, {
        plugins: [
          {
            name: 'a',
            authorizePublish: () => {
              asked += 1
              return delay === 0 ? true : turns(delay).then(() => true)
            },
          },
        ],
      })
      const watcher = await client('watcher')
      await watcher.subscribe('t')
      const one = await client('one', { level })
      const publish = publishPacket('t', 'x', { qos: 2, packetId: 7 })
      one.send(publish, ...Array.from({ length: 999 }, () => ({ ...publish, dup: true })))
      for (let number = 0; number < 1000; number += 1) {
        const { packetId, reasonCode } = await one.receives('pubrec')
        assert.equal(packetId, 7)
        assert.ok(reasonCode < 0x80)
      }
      one.send(...Array.from({ length: 3 }, () => ack('pubrel', 7)))
      for (let number = 0; number < 3; number += 1) assert.equal((await one.receives('pubcomp')).packetId, 7)
      assert.equal(await watcher.message(), 'x')
      await watcher.quiet()
      assert.equal(asked, 1)
      // Released, the identifier is a new message.
      one.send(publish)
      await one.receives('pubrec')
      assert.equal(await watcher.message(), 'x')
    }
  }
})

test('a QoS 2 PUBLISH again after a take-over, while a hook is at the first one, is one message', async (t) => {
  for (const allowed of [true, false]) {
    const answers: ReturnType<typeof deferred<boolean>>[] = []
    const { client } = start(t, {
      plugins: [
        {
          name: 'a',
          authorizePublish: () => {
            const answer = deferred<boolean>()
            answers.push(answer)
            return answer.promise
          },
        },
      ],
    })
    const watcher = await client('watcher')
    await watcher.subscribe('t')
    const properties = { sessionExpiryInterval: 100 }
    const one = await client('one', { properties })
    one.send(publishPacket('t', 'x', { qos: 2, packetId: 7 }))
    await settle()
    const two = await client('one', { cleanStart: false, properties })
    await one.endedWith(0x8e)
    two.send(publishPacket('t', 'x', { qos: 2, packetId: 7, dup: true }))
    await settle()
    assert.equal(answers.length, 1)
    answers[0]?.resolve(allowed)
    if (!allowed) {
      await settle()
      answers[1]?.resolve(false) // The refusal was for a connection that is gone: this PUBLISH is asked about anew.
    }
    assert.equal((await two.receives('pubrec')).reasonCode, allowed ? 0 : 0x87)
    if (allowed) {
      two.send(ack('pubrel', 7))
      assert.equal((await two.receives('pubcomp')).reasonCode, 0)
      assert.equal(await watcher.message(), 'x')
    }
    await watcher.quiet()
    await two.quiet()
  }
})

test('a QoS 2 PUBLISH again after a lost connection is acknowledged again and not handed on again', async (t) => {
  const { client } = start(t)
  const watcher = await client('watcher')
  await watcher.subscribe('t')
  for (const level of [4, 5] as const) {
    const options = { level, cleanStart: false, ...(level === 5 && { properties: { sessionExpiryInterval: 100 } }) }
    const one = await client(`one${level}`, options)
    one.send(publishPacket('t', 'x', { qos: 2, packetId: 7 }))
    await one.receives('pubrec')
    await one.drop()
    const two = await client(`one${level}`, options)
    two.send(publishPacket('t', 'x', { qos: 2, packetId: 7, dup: true }))
    await two.receives('pubrec')
    await two.drop()
    const three = await client(`one${level}`, options)
    three.send(ack('pubrel', 7))
    assert.equal((await three.receives('pubcomp')).reasonCode, 0)
    three.send(ack('pubrel', 7))
    assert.equal((await three.receives('pubcomp')).reasonCode, level === 5 ? 0x92 : 0)
    assert.equal(await watcher.message(), 'x')
    await watcher.quiet()
  }
})

test('SUBSCRIBE with a slow hook, then PUBLISH: the Client gets its own message, because its packets stay in order', async (t) => {
  const { client } = start(t, { plugins: [{ name: 'a', authorizeSubscribe: () => turns(5).then(() => true) }] })
  const one = await client('one')
  one.send(
    {
      type: 'subscribe',
      packetId: 1,
      subscriptions: [{ topicFilter: 't', qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 }],
      properties: undefined,
    },
    publishPacket('t', 'x'),
    { type: 'unsubscribe', packetId: 2, topicFilters: ['t'], properties: undefined },
    publishPacket('t', 'y'),
    { type: 'pingreq' },
  )
  await one.receives('suback')
  assert.equal(await one.message(), 'x')
  await one.receives('unsuback')
  await one.receives('pingresp')
})

test('messages of one publisher reach each receiver in order, whatever its QoS and however it acknowledges', async (t) => {
  const { client } = start(t)
  const publisher = await client('publisher')
  const receivers: TestClient[] = []
  for (const qos of [0, 1, 2] as const) {
    const receiver = await client(`q${qos}`, { properties: { receiveMaximum: 3 } })
    await receiver.subscribe('t', { qos })
    receivers.push(receiver)
  }
  publisher.send(
    ...Array.from({ length: 100 }, (_, number) => publishPacket('t', `${number}`, { qos: 1, packetId: number + 1 })),
  )
  for (const receiver of receivers) {
    for (let number = 0; number < 100; number += 1) assert.equal(await receiver.message(), `${number}`)
  }
})

test('the packets of a CONNECT that is slow and of a connection that is not are handled in their own order', async (t) => {
  const gate = deferred()
  const { open, client } = start(t, {
    plugins: [
      {
        name: 'a',
        authenticate: async ({ clientId }) => {
          if (clientId === 'slow') await gate.promise
          return clientId
        },
      },
    ],
  })
  const watcher = await client('watcher')
  await watcher.subscribe('#')
  const slow = open()
  slow.send(connectPacket('slow'), publishPacket('t', 'slow'))
  const fast = await client('fast')
  await fast.publish('t', 'fast')
  assert.equal(await watcher.message(), 'fast')
  gate.resolve()
  assert.equal(await watcher.message(), 'slow')
})
