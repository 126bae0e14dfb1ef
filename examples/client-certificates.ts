// Mutual TLS: a Client has a certificate, and the name in it identifies the Client.
import { readFileSync } from 'node:fs'
import { Broker, certificateIdentity, type Plugin } from 'haltere'

interface Device {
  readonly name: string
}

const devices: Plugin<Device> = {
  name: 'devices',

  authenticate({ clientId }, info) {
    // Undefined unless the certificate was verified, so a Client without one is refused.
    const name = certificateIdentity(info, 'cn')
    // A Client Identifier gives access to a session and its queued messages, so a device may only use its own.
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
    ca: readFileSync(`${folder}/ca.pem`), // the authorities that sign the certificates of Clients
    requestCert: true, // a Client without one is refused, because rejectUnauthorized is true
  },
})
console.log(listener?.url)
broker.on('clientConnected', ({ session }) => console.log(`${session.name} is here`))

// A renewed certificate, for new connections; open connections stay open.
process.on('SIGHUP', () => {
  listener?.replaceCertificate?.(certificate())
  console.log('certificate replaced')
})
