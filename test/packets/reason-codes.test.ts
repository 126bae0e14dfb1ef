import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connectReturnCode, reasonCodeOf } from '../../lib/packets/reason-codes.ts'

test('a reason has its code by name and its nearest Connect Return code in MQTT 3', () => {
  assert.equal(reasonCodeOf('not-authorized'), 0x87)
  assert.equal(reasonCodeOf('qos-not-supported'), 0x9b)
  assert.equal(connectReturnCode(0x84), 1)
  assert.equal(connectReturnCode(0x8a), 5)
})
