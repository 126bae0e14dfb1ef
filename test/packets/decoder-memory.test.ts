import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Decoder } from '../../lib/packets/decoder.ts'
import { encode } from '../../lib/packets/encoder.ts'
import { publishPacket } from '../support/client.ts'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

async function heldBytes(): Promise<number> {
  // What is not used any more is given back some time after it was found.
  for (let turn = 0; turn < 4; turn += 1) {
    collectGarbage()
    await new Promise((resolve) => setImmediate(resolve))
  }
  return process.memoryUsage().arrayBuffers
}

const DECODERS = 400

for (const [what, isBorrowed] of [
  ['chunk of its own', false],
  ['borrowed chunk', true],
] as const) {
  test(`the first bytes of a packet do not keep the rest of a ${what}`, async () => {
    const large = encode(publishPacket('t', Buffer.alloc(20_000)), 4)
    const next = encode(publishPacket('t', Buffer.alloc(5000, 'x')), 4)
    const before = await heldBytes()
    const decoders = Array.from({ length: DECODERS }, () => {
      const decoder = new Decoder({ protocolLevel: 4 })
      decoder.push(Buffer.concat([large, next.subarray(0, 3)]), isBorrowed)
      assert.equal(decoder.next()?.type, 'publish')
      assert.equal(decoder.next(), undefined)
      decoder.push(next.subarray(3, 10), isBorrowed)
      assert.equal(decoder.next(), undefined)
      return decoder
    })
    const held = ((await heldBytes()) - before) / DECODERS
    assert.ok(held < 1000, `${held} bytes are held for 10`)
    for (const decoder of decoders) {
      decoder.push(next.subarray(10), isBorrowed)
      const packet = decoder.next()
      assert.ok(packet?.type === 'publish' && packet.payload.equals(Buffer.alloc(5000, 'x')))
      assert.equal(decoder.bufferedBytes, 0)
    }
  })
}
