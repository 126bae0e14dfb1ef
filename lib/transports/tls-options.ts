import { createSecureContext, type SecureContext, type SecureContextOptions, type TlsOptions } from 'node:tls'
import { InvalidOptionError } from '../errors.ts'
import type { CertificateOptions, Listener, TlsSettings } from '../../types/listen.ts'

/** The options of a secure context and of the server. Known by name, so that a misspelt `requestCert` is refused. */
const contextKeys = [
  'ca',
  'cert',
  'sigalgs',
  'ciphers',
  'clientCertEngine',
  'crl',
  'dhparam',
  'ecdhCurve',
  'honorCipherOrder',
  'key',
  'privateKeyEngine',
  'privateKeyIdentifier',
  'maxVersion',
  'minVersion',
  'passphrase',
  'pfx',
  'secureOptions',
  'secureProtocol',
  'sessionIdContext',
  'ticketKeys',
  'sessionTimeout',
  'allowPartialTrustChain',
]
const serverKeys = [
  'requestCert',
  'rejectUnauthorized',
  'ALPNProtocols',
  'ALPNCallback',
  'SNICallback',
  'enableTrace',
  'secureContext',
  'pskCallback',
  'pskIdentityHint',
  'enableOCSPStapling',
  'requestOCSP',
  'highWaterMark',
  'pauseOnConnect',
]
/** The options of one certificate; the rest of a context is the same for all server names. */
const certificateKeys = ['key', 'cert', 'pfx', 'passphrase']
const ownKeys = ['sni', 'handshakeTimeoutMs']
export const tlsKeys: readonly string[] = [...contextKeys, ...serverKeys, ...ownKeys]

const defaultHandshakeTimeoutMs = 5000

/** The TLS options of a listener, built the same way for `tls` and `wss`. */
export class ListenerTls {
  readonly options: TlsOptions
  readonly #shared: SecureContextOptions
  readonly #contexts = new Map<string, SecureContext>()

  constructor(what: string, settings: TlsSettings) {
    const hasSni = settings.SNICallback !== undefined || Object.keys(settings.sni ?? {}).length > 0
    const hasCertificate = settings.pfx !== undefined || (settings.key !== undefined && settings.cert !== undefined)
    if (!hasSni && !hasCertificate && settings.pskCallback === undefined) {
      throw new InvalidOptionError(`listen.${what}: expected key and cert (or pfx, sni, SNICallback, pskCallback)`)
    }
    const { sni, handshakeTimeoutMs = defaultHandshakeTimeoutMs } = settings
    const given = pick(settings, [...contextKeys, ...serverKeys])
    const options: TlsOptions = { minVersion: 'TLSv1.2', ...given, handshakeTimeout: handshakeTimeoutMs }
    this.#shared = pick(options, contextKeys, certificateKeys)
    for (const [name, certificate] of Object.entries(sni ?? {})) this.#setContext(name, certificate)
    if (sni !== undefined && options.SNICallback === undefined) {
      options.SNICallback = (servername, callback) => callback(null, this.#contextOf(servername))
    }
    this.options = options
  }

  replaceCertificate(
    server: { setSecureContext(options: SecureContextOptions): void },
    { servername, ...certificate }: Parameters<NonNullable<Listener['replaceCertificate']>>[0],
  ): void {
    if (servername === undefined) server.setSecureContext(this.#contextOptions(certificate))
    else this.#setContext(servername, certificate)
  }

  #setContext(name: string, certificate: CertificateOptions): void {
    this.#contexts.set(name.toLowerCase(), createSecureContext(this.#contextOptions(certificate)))
  }

  #contextOptions({ key, cert, ca }: CertificateOptions): SecureContextOptions {
    const options = { ...this.#shared, key, cert }
    return ca === undefined ? options : { ...options, ca: typeof ca === 'string' || Buffer.isBuffer(ca) ? ca : [...ca] }
  }

  #contextOf(servername: string): SecureContext | undefined {
    const name = servername.toLowerCase()
    return this.#contexts.get(name) ?? this.#contexts.get(name.replace(/^[^.]+/, '*'))
  }
}

/** The options of these names, without those of `except`. */
function pick(options: object, keys: readonly string[], except: readonly string[] = []): object {
  return Object.fromEntries(Object.entries(options).filter(([key]) => keys.includes(key) && !except.includes(key)))
}
