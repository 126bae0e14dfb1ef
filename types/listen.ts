import type { AddressInfo } from 'node:net'
import type { TlsOptions } from 'node:tls'

/** Where every kind of listener listens. */
export interface ListenAddress {
  /** The port; 0 lets the system choose. @defaultValue 1883 (tcp), 8883 (tls), 8083 (ws), 8084 (wss) */
  readonly port?: number
  /** The address to bind. Say `'0.0.0.0'` or `'::'` to be reachable from other machines. @defaultValue '127.0.0.1' */
  readonly host?: string
  /** Connections that may wait for the program to accept them. @defaultValue 4096 */
  readonly backlog?: number
  /** Open connections of this listener; one more is closed at once. @defaultValue the broker's limits only */
  readonly maxConnections?: number
  /** Do not share the port with the other workers of a `node:cluster`. @defaultValue false */
  readonly exclusive?: boolean
  /** With `host: '::'`, take no IPv4 connections. @defaultValue false */
  readonly ipv6Only?: boolean
}

export interface TcpListenOptions extends ListenAddress {
  /** A Unix domain socket or Windows pipe to listen on, instead of host and port. */
  readonly path?: string
}

/** What a certificate needs, as PEM texts. */
export interface CertificateOptions {
  readonly key: string | Buffer
  readonly cert: string | Buffer
  /** The authorities that may sign Clients' certificates. @defaultValue the listener's `ca` */
  readonly ca?: string | Buffer | readonly (string | Buffer)[]
}

/** The same for `tls` and `wss`. Everything of node's `tls.createServer` may be given too. */
export interface TlsSettings extends Omit<TlsOptions, 'handshakeTimeout' | 'allowHalfOpen' | 'noDelay' | 'keepAlive'> {
  /** Certificates by server name; `*.example.org` stands for one label. Others get `key` and `cert`. */
  readonly sni?: Readonly<Record<string, CertificateOptions>>
  /** Milliseconds that a Client has for the whole TLS handshake. @defaultValue 5000 */
  readonly handshakeTimeoutMs?: number
}

export interface TlsListenOptions extends TcpListenOptions, TlsSettings {}

/** What a WebSocket endpoint needs, on a port of its own or on a server of yours. */
export interface WebSocketSettings {
  /** The path of the URL. A listener of its own also accepts `/`. @defaultValue '/mqtt' */
  readonly path?: string
  /**
   * The web pages that may connect, for example `['https://app.example.org']`; `'*'` is any page.
   * Clients other than browsers send no Origin and are not concerned.
   * @defaultValue pages of the same host as the listener
   */
  readonly origins?: readonly string[]
  /** Bytes that one WebSocket message may have; a longer one closes the connection with 1009. @defaultValue 4 MiB */
  readonly maxPayload?: number
}

export interface WebSocketListenOptions extends ListenAddress, WebSocketSettings {
  /** Milliseconds that a Client has to ask for the WebSocket. @defaultValue 5000 */
  readonly handshakeTimeoutMs?: number
}

export interface SecureWebSocketListenOptions extends WebSocketListenOptions, TlsSettings {}

/** The options of `broker.listen`, by transport. A number is the port. */
export interface ListenOptionsMap {
  readonly tcp?: number | TcpListenOptions
  readonly tls?: TlsListenOptions
  readonly ws?: number | WebSocketListenOptions
  readonly wss?: SecureWebSocketListenOptions
}

/** The scheme in the URL of a listener, by transport. */
export interface ListenerProtocols {
  readonly tcp: 'mqtt'
  readonly tls: 'mqtts'
  readonly ws: 'ws'
  readonly wss: 'wss'
}

/** An open listener of the broker. */
export interface Listener {
  /** The scheme of its URL. */
  readonly protocol: ListenerProtocols[keyof ListenOptionsMap]
  /** The URL for a Client on this machine, for example `mqtt://127.0.0.1:1883`. */
  readonly url: string
  /** As node gives it; a string for a Unix domain socket; empty while an attached server does not listen yet. */
  readonly address: AddressInfo | string
  /** Takes no new connections; those that are open stay. Resolves when the port is free. */
  stopAccepting(): Promise<void>
  /** Takes no new connections and ends those of this listener. Resolves always, after 2 seconds at most. */
  close(): Promise<void>
  /** Replaces the certificate for new connections, or the one of a server name. Only of `mqtts` and `wss`. */
  replaceCertificate?(certificate: CertificateOptions & { readonly servername?: string }): void
}
