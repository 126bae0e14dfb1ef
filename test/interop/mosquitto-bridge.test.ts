import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { Broker } from '../../lib/index.ts'
import { freePort } from '../support/free-port.ts'
import { needs, Program } from './programs.ts'

const options = needs('mosquitto_sub')
const STATE = '$SYS/broker/connection/+/state'

suite('a bridge of mosquitto with its default settings', () => {
  for (const version of ['mqttv31', 'mqttv311', 'mqttv50']) {
    test(`connects with ${version}, tells its state and carries messages both ways`, options, async (t) => {
      const broker = new Broker()
      t.after(() => broker.close({ graceMs: 0 }))
      const [listener] = await broker.listen({ tcp: { port: 0, host: '127.0.0.1' } })
      const states = broker.subscribe(STATE)
      const messages = broker.subscribe('out/#')
      const subscribed = once(broker, 'subscribed')
      const folder = mkdtempSync(join(tmpdir(), 'haltere-bridge-'))
      const port = await freePort()
      const lines = [
        `user root\nlistener ${port} 127.0.0.1\nallow_anonymous true`,
        `connection site\naddress 127.0.0.1:${(listener!.address as AddressInfo).port}`,
        `bridge_protocol_version ${version}\ntopic in/# in 1\ntopic out/# out 1`,
      ]
      writeFileSync(join(folder, 'conf'), `${lines.join('\n')}\n`)
      const program = new Program(t, 'mosquitto', ['-c', join(folder, 'conf')])
      t.after(() => {
        program.kill()
        rmSync(folder, { recursive: true, force: true })
      })
      const state = await states[Symbol.asyncIterator]().next()
      assert.match(state.value?.topic ?? '', /^\$SYS\/broker\/connection\/.*\.site\/state$/)
      assert.equal(state.value?.payload.toString(), '1')
      assert.equal(state.value?.retain, true)
      await subscribed
      const inward = new Program(t, 'stdbuf', [
        '-oL',
        'mosquitto_sub',
        '-p',
        `${port}`,
        '-t',
        'in/#',
        '-d',
        '-C',
        '1',
        '-F',
        'message %t %p',
      ])
      await inward.line(/^Subscribed/)
      await broker.publish({ topic: 'in/a', payload: 'hello', qos: 1 })
      assert.ok((await inward.done()).includes('message in/a hello'))
      await new Program(t, 'mosquitto_pub', ['-p', `${port}`, '-q', '1', '-t', 'out/a', '-m', 'back']).done()
      const { value } = await messages[Symbol.asyncIterator]().next()
      assert.equal(`${value?.topic} ${value?.payload}`, 'out/a back')
      program.kill()
      const after = await states[Symbol.asyncIterator]().next()
      assert.equal(after.value?.payload.toString(), '0')
    })
  }
})
