import type { X509Certificate } from 'node:crypto'
import type { Duplex } from 'node:stream'
import type { ConnectionInfo } from '../../types/connection-info.ts'

/** The properties of a `net.Socket` or `tls.TLSSocket`; any of them may be missing. */
interface SocketLike {
  readonly remoteAddress?: unknown
  readonly remotePort?: unknown
  readonly encrypted?: unknown
  readonly servername?: unknown
  readonly authorized?: unknown
  readonly setNoDelay?: unknown
  readonly getPeerX509Certificate?: () => X509Certificate | undefined
}

type Known = { -readonly [Key in keyof ConnectionInfo]: ConnectionInfo[Key] }

/** Reads the address and the certificate of a stream, by properties and not by class, because it may be any Duplex. */
export function connectionInfo(stream: Duplex, listener?: string): ConnectionInfo {
  const socket = stream as SocketLike // Every property is checked below.
  const encrypted = socket.encrypted === true
  // An unknown stream is never called `memory`: that would make it trusted.
  const transport = encrypted ? 'tls' : typeof socket.setNoDelay === 'function' ? 'tcp' : 'stream'
  const { remoteAddress, remotePort } = socket
  if (
    transport === 'tcp' &&
    listener !== undefined &&
    typeof remoteAddress === 'string' &&
    typeof remotePort === 'number'
  ) {
    return { transport, remoteAddress, remotePort, listener } // The usual case, as one object literal.
  }
  const info: Known = { transport }
  if (listener !== undefined) info.listener = listener
  if (typeof socket.remoteAddress === 'string') info.remoteAddress = socket.remoteAddress
  if (typeof socket.remotePort === 'number') info.remotePort = socket.remotePort
  if (encrypted) {
    if (typeof socket.servername === 'string') info.servername = socket.servername
    info.authorized = socket.authorized === true
    const certificate = socket.getPeerX509Certificate?.()
    if (certificate !== undefined) info.peerCertificate = certificate
  }
  return info
}
