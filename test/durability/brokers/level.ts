/** A broker with a level store, to be killed: `node level.js FOLDER PORT`. */
import { createRequire } from 'node:module'
import { ClassicLevel } from 'classic-level'
import type { Persistence } from '../../../types/persistence.ts'
import { brokerWith } from '../stores.ts'

const [folder = '', port = '0'] = process.argv.slice(2)
const levelPersistence = createRequire(import.meta.url)('aedes-persistence-level') as (db: unknown) => Persistence
const broker = brokerWith(levelPersistence(new ClassicLevel(folder)))
for (const { url } of await broker.listen({ tcp: { port: Number(port) } })) console.log(url)
