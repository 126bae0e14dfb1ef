import { createRequire } from 'node:module'
import { withMethods } from '../support/adapter-run.ts'
import { adapterConformance } from './adapter-conformance.ts'

const memory: () => unknown = createRequire(import.meta.url)('aedes-persistence')

adapterConformance('aedes-persistence', async () => {
  // It is its own data, so it must not end with the broker.
  const store = withMethods(memory(), { destroy: async () => undefined })
  return { persistence: () => store, end: async () => undefined }
})
