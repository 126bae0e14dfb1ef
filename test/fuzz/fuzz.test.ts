import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { isLong } from '../support/length.ts'
import { fuzz } from './fuzz.ts'

const INPUTS = isLong ? 200_000 : 10_000
// Caches that fill, and code that is compiled again; a byte for each input would not fit.
const HEAP_BOUND = 12 * 1024 * 1024

test('no damaged conversation stops the broker, reaches another Client or leaves anything behind', async (t) => {
  const seed = Number(process.env.FUZZ_SEED ?? 1)
  const { inputs, milliseconds, heapGrowth, failure } = await fuzz(seed, { inputs: INPUTS })
  t.diagnostic(`seed ${seed}: ${inputs} inputs in ${Math.round(milliseconds)} ms, heap ${heapGrowth} bytes more`)
  assert.equal(failure, undefined)
  assert.ok(heapGrowth < HEAP_BOUND, `the heap grew by ${heapGrowth} bytes`)
})
