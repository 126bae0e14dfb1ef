import { createRequire } from 'node:module'
import { isLong } from '../support/length.ts'
import { MongoStandIn } from '../support/mongodb-stand-in.ts'
import { adapterConformance } from './adapter-conformance.ts'

const mongoPersistence: (options: object) => unknown = createRequire(import.meta.url)('aedes-persistence-mongodb')

adapterConformance(
  'aedes-persistence-mongodb',
  async () => {
    const db = new MongoStandIn()
    return { persistence: () => mongoPersistence({ db }), end: async () => undefined }
  },
  isLong ? 5000 : 1200,
)
