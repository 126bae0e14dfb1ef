// MQTT 5.0 enhanced authentication: the password is never sent. The Server sends a challenge in an AUTH packet,
// and the Client proves that it knows the secret by its HMAC.
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { type AuthenticationExchange, Broker, type Plugin } from 'haltere'

const METHOD = 'HMAC-SHA256'
const secrets = new Map([['sensor-1', process.env.SECRET ?? 'not so secret']])

interface Device {
  readonly name: string
}

async function prove(name: string, step: AuthenticationExchange): Promise<boolean> {
  const secret = secrets.get(name)
  const challenge = randomBytes(32)
  // An unknown name gets a challenge too, so that a Client cannot find out which names exist.
  const answer = await step.exchange(challenge)
  const expected = createHmac('sha256', secret ?? randomBytes(32))
    .update(challenge)
    .digest()
  return answer?.length === expected.length && timingSafeEqual(answer, expected)
}

const challenge: Plugin<Device> = {
  name: 'challenge',

  async authenticate({ username = '' }, _info, _signal, authentication) {
    if (authentication.method !== METHOD) return undefined // no opinion: another plugin may know the method
    return (await prove(username, authentication)) ? { name: username } : false
  },

  // A connected Client may prove itself again, without losing its connection.
  async reauthenticate(step, { session }) {
    return (await prove(session.name, step)) ? { done: true } : false
  },
}

const broker = new Broker({ plugins: [challenge] })
broker.on('clientConnected', ({ session }) => console.log(`${session.name} proved itself`))
for (const { url } of await broker.listen({ tcp: Number(process.env.PORT ?? 1883) })) console.log(url)
