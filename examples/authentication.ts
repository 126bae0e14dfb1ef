// Users with passwords, each with topics of their own. An administrator may do everything.
import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import { Broker, type Plugin } from 'haltere'

interface User {
  readonly name: string
  readonly isAdministrator: boolean
}

const hash = promisify<Buffer | string, Buffer, number, Buffer>(scrypt)

// In your program this is a table in a database. It has the hash, not the password.
async function user(name: string, password: string, isAdministrator = false): Promise<User & Secret> {
  const salt = randomBytes(16)
  return { name, isAdministrator, salt, hash: await hash(password, salt, 32) }
}
interface Secret {
  readonly salt: Buffer
  readonly hash: Buffer
}
const users = new Map(
  (await Promise.all([user('alice', 'wonderland'), user('bob', 'builder'), user('root', 'toor', true)])).map((one) => [
    one.name,
    one,
  ]),
)

const accounts: Plugin<User> = {
  name: 'accounts',

  // The returned user becomes `client.session`, with its type, in every other hook and event.
  async authenticate({ username, password }) {
    const known = users.get(username ?? '')
    if (known === undefined || password === undefined) return false
    if (!timingSafeEqual(await hash(password, known.salt, 32), known.hash)) return false
    return { name: known.name, isAdministrator: known.isAdministrator }
  },

  authorizePublish: ({ topic }, { session }) => session.isAdministrator || topic.startsWith(`users/${session.name}/`),

  authorizeSubscribe: ({ topicFilter }, { session }) =>
    session.isAdministrator || topicFilter.startsWith(`users/${session.name}/`),
}

const broker = new Broker({ plugins: [accounts] })
broker.on('clientConnected', ({ session }) => console.log(`${session.name} is here`))
broker.on('connectionRefused', (_info, error) => console.log(`refused: ${error.message || error.name}`))
for (const { url } of await broker.listen({ tcp: Number(process.env.PORT ?? 1883) })) console.log(url)
