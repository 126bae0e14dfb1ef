import type { AddressInfo } from 'node:net'
import type { SecureContextOptions, TlsOptions } from 'node:tls'

/** Address of a listener. */
export interface ListenAddress {
  /** Port, 0 to 65,535; 0 lets the system choose. @defaultValue 1883 (tcp), 8883 (tls), 8083 (ws), 8084 (wss) */
  readonly port?: number
  /** Address to bind; `'0.0.0.0'` or `'::'` for access from other machines. @defaultValue '127.0.0.1' */
  readonly host?: string
  /** Maximum number of connections in the queue of the system before the program accepts them. @defaultValue 4096 */
  readonly backlog?: number
  /** Maximum number of open connections; more are closed at once. @defaultValue none, see `limits.maxConnections` */
  readonly maxConnections?: number
  /** Does not share the port with the other workers of a `node:cluster`. @defaultValue false */
  readonly exclusive?: boolean
  /** With `host: '::'`, accepts no IPv4 connections. @defaultValue false */
  readonly ipv6Only?: boolean
}

export interface TcpListenOptions extends ListenAddress {
  /** Path of a Unix domain socket or Windows pipe, instead of host and port. @defaultValue none */
  readonly path?: string
}

/**
 * A certificate: `key` and `cert` in PEM format, or `pfx`, with `passphrase` if the key is encrypted. The other options
 * of a secure context of Node.js, such as `ciphers`, have the value of the listener by default.
 */
export interface CertificateOptions extends Omit<SecureContextOptions, 'ca' | 'crl'> {
  /** Authorities that may sign certificates of Clients, in PEM format. @defaultValue the `ca` of the listener */
  readonly ca?: string | Buffer | readonly (string | Buffer)[]
  /** Lists of revoked certificates of Clients, in PEM format. @defaultValue the `crl` of the listener */
  readonly crl?: string | Buffer | readonly (string | Buffer)[]
}

/** What `Listener.replaceCertificate` replaces. Options that are left out stay as they are. */
export interface ReplacementCertificate extends CertificateOptions {
  /** Replaces the options of this server name, or adds it. @defaultValue none: replaces those of the listener */
  readonly servername?: string
}

/** TLS options of `tls` and `wss`, beside those of Node's `tls.createServer`. */
export interface TlsSettings extends Omit<TlsOptions, 'handshakeTimeout' | 'allowHalfOpen' | 'noDelay' | 'keepAlive'> {
  /**
   * Certificates by server name; `*` matches one label. Other names use `key` and `cert`. Not together with
   * `SNICallback`. @defaultValue none
   */
  readonly sni?: Readonly<Record<string, CertificateOptions>>
  /** Time limit of the TLS handshake in milliseconds. @defaultValue 5000 */
  readonly handshakeTimeoutMs?: number
}

export interface TlsListenOptions extends TcpListenOptions, TlsSettings {}

/** Options of a WebSocket endpoint, on its own port or attached to an HTTP server (section 6). */
export interface WebSocketSettings {
  /** Path of the URL. A listener with its own port also accepts `/`. @defaultValue '/mqtt' */
  readonly path?: string
  /**
   * Origins of web pages that may connect, for example `['https://app.example.org']`; `'*'` is any page.
   * Clients that are no browsers send no Origin, so this option does not concern them.
   * @defaultValue pages of the same host as the listener
   */
  readonly origins?: readonly string[]
  /**
   * Maximum bytes of one WebSocket message, from 1 to 2,147,483,647; a longer one closes the connection with 1009.
   * A message may have one fragment per 128 of these bytes, but at least 4,096 fragments; more close it with 1008.
   * @defaultValue `limits.maxPacketSize` and 64 KiB
   */
  readonly maxPayload?: number
}

/** Options of `broker.handleUpgrade`. */
export type UpgradeOptions = Pick<WebSocketSettings, 'origins'>

export interface WebSocketListenOptions extends ListenAddress, WebSocketSettings {
  /**
   * Path of the URL at which GET and HEAD requests return `broker.health()` as JSON, with 200 or 503; other than `path`.
   * Everybody who reaches the port can read it. @defaultValue none
   */
  readonly healthPath?: string
  /** Time limit for the HTTP request of the WebSocket handshake in milliseconds. @defaultValue 5000 */
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
  /** Address of the Node server; the path of a Unix domain socket; empty while an attached server does not listen. */
  readonly address: AddressInfo | string
  /** Whether it accepts connections. */
  readonly listening: boolean
  /** Accepts no new connections; open connections stay. Resolves when the port is free. */
  stopAccepting(): Promise<void>
  /** Accepts no new connections and ends those of this listener. Resolves within 2 seconds, never rejects. */
  close(): Promise<void>
  /**
   * Replaces the certificate and other options of the secure context, such as `ca` and `crl`, for new connections. Names
   * of `sni` use the new options of the listener where they have none of their own. Only for `mqtts` and `wss`.
   *
   * @throws InvalidOptionError for an unknown option, a missing or wrong key, or what TLS does not accept; then nothing
   * is changed
   */
  replaceCertificate?(certificate: ReplacementCertificate): void
}
