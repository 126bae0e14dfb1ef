/** A broker with a log that ends at a call of it: `node exits.js FOLDER PORT [before|after NUMBER]`. */
import { Faults, faulty } from '../faulty-persistence.ts'
import { brokerWith, openLog } from '../stores.ts'

const [folder = '', port = '0', moment, at = '1'] = process.argv.slice(2)
const faults = new Faults()
const broker = brokerWith(faulty(openLog(folder), faults))
const listeners = await broker.listen({ tcp: { port: Number(port) } })
if (moment !== undefined) faults.arm(moment === 'before' ? 'exit before' : 'exit after', Number(at))
for (const { url } of listeners) console.log(url)
