// Mutual TLS: a Client shows a certificate, and the name in it is who it is.
import { readFileSync } from 'node:fs'
import { Broker, certificateIdentity, type Plugin } from 'haltere'

interface Device {
  readonly name: string
}

const devices: Plugin<Device> = {
  name: 'devices',

  authenticate({ clientId }, info) {
    // Undefined unless the certificate was verified, so whoever comes another way is refused.
    const name = certificateIdentity(info, 'cn')
    // A Client Identifier opens a session with all that waits in it: a device may only have its own.
    return name !== undefined && clientId === name ? { name } : false
  },

  authorizePublish: ({ topic }, { session }) => topic.startsWith(`devices/${session.name}/`),
  authorizeSubscribe: ({ topicFilter }, { session }) => topicFilter.startsWith(`devices/${session.name}/`),
}

const folder = process.env.CERTIFICATES ?? '.'
const certificate = () => ({ key: readFileSync(`${folder}/server.key`), cert: readFileSync(`${folder}/server.pem`) })

const broker = new Broker<Device>({ plugins: [devices] })
const [listener] = await broker.listen({
  tls: {
    port: Number(process.env.PORT ?? 8883),
    ...certificate(),
    ca: readFileSync(`${folder}/ca.pem`), // who may sign the certificates of Clients
    requestCert: true, // and a Client without one does not get in, because rejectUnauthorized is true
  },
})
console.log(listener?.url)
broker.on('clientConnected', ({ session }) => console.log(`${session.name} is here`))

// A renewed certificate, for new connections; those that are open stay.
process.on('SIGHUP', () => {
  listener?.replaceCertificate?.(certificate())
  console.log('certificate replaced')
})
