import { X509Certificate } from 'node:crypto'
import { createSecureContext, type SecureContext, type SecureContextOptions, type TlsOptions } from 'node:tls'
import type { CertificateOptions, ReplacementCertificate, TlsSettings } from '../../types/listen.ts'
import { InvalidOptionError } from '../errors.ts'

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
/** The certificate and its key. Other options of a server name are those of the listener unless it has its own. */
const certificateKeys = ['key', 'cert', 'pfx', 'passphrase', 'privateKeyEngine', 'privateKeyIdentifier']
const ownKeys = ['sni', 'handshakeTimeoutMs']
export const tlsKeys: readonly string[] = [...contextKeys, ...serverKeys, ...ownKeys]

const defaultHandshakeTimeoutMs = 5000

/** A TLS server of Node.js. */
interface TlsServer {
  setSecureContext(options: SecureContextOptions): void
}

type Context = CertificateOptions & { readonly [name: string]: unknown }

/** The TLS options of a listener, built the same way for `tls` and `wss`. */
export class ListenerTls {
  readonly options: TlsOptions
  /** `tls` or `wss`, for messages. */
  readonly #name: string
  /** Whether the listener needs a certificate of its own. */
  readonly #needsCertificate: boolean
  readonly #choosesBySni: boolean
  #shared: Context
  /** The options by server name, without those of the listener. */
  #ofNames = new Map<string, Context>()
  #contexts = new Map<string, SecureContext>()

  constructor(name: string, settings: TlsSettings) {
    const { sni = {}, handshakeTimeoutMs = defaultHandshakeTimeoutMs } = settings
    const given = pick(settings, contextKeys)
    this.#name = `listen.${name}`
    this.#choosesBySni = settings.SNICallback === undefined
    if (!this.#choosesBySni && settings.sni !== undefined) {
      throw new InvalidOptionError(`${this.#name}.sni: there is SNICallback too; a listener has one of them`)
    }
    const hasOtherCertificates = !this.#choosesBySni || Object.keys(sni).length > 0
    this.#needsCertificate = !hasOtherCertificates && settings.pskCallback === undefined
    if (this.#needsCertificate && !hasCertificate(given)) {
      throw new InvalidOptionError(`${this.#name}: expected key and cert (or pfx, sni, SNICallback, pskCallback)`)
    }
    this.#shared = { minVersion: 'TLSv1.2', ...given }
    for (const [servername, certificate] of Object.entries(sni)) {
      const where = `${this.#name}.sni[${JSON.stringify(servername)}]`
      checkContextKeys(where, certificate)
      this.#ofNames.set(servername.toLowerCase(), withoutUndefined(certificate))
    }
    checkedContext(this.#name, this.#shared, this.#needsCertificate)
    this.#contexts = this.#contextsOf(this.#shared, this.#ofNames)
    const options: TlsOptions = {
      ...(pick(settings, serverKeys) as TlsOptions),
      ...nodeOptions(this.#shared),
      handshakeTimeout: handshakeTimeoutMs,
    }
    // Also without names, because `replaceCertificate` can add one.
    if (this.#choosesBySni) {
      options.SNICallback = (servername, callback) => callback(null, this.#contextOf(servername))
    }
    this.options = options
  }

  /** Replaces options for new connections. Throws an `InvalidOptionError`, with nothing changed. */
  replaceCertificate(server: TlsServer, { servername, ...replacement }: ReplacementCertificate): void {
    const where = 'replaceCertificate'
    checkContextKeys(`${where}.`, replacement)
    const given = withoutUndefined(replacement)
    if (Object.keys(given).length === 0)
      throw new InvalidOptionError(`${where}: expected key and cert, ca, crl or others`)
    if (servername === undefined) {
      const shared = replaced(this.#shared, given)
      checkedContext(where, shared, this.#needsCertificate)
      this.#contexts = this.#contextsOf(shared, this.#ofNames)
      this.#shared = shared
      server.setSecureContext(nodeOptions(shared))
      return
    }
    if (typeof servername !== 'string' || servername === '') {
      throw new InvalidOptionError(`${where}.servername: expected a server name`)
    }
    if (!this.#choosesBySni) {
      throw new InvalidOptionError(
        `${where}.servername: the listener has an SNICallback, which chooses the certificate`,
      )
    }
    const name = servername.toLowerCase()
    const ofName = replaced(this.#ofNames.get(name) ?? {}, given)
    this.#contexts.set(name, this.#contextOfName(where, this.#shared, ofName))
    this.#ofNames.set(name, ofName)
  }

  #contextsOf(shared: Context, ofNames: ReadonlyMap<string, Context>): Map<string, SecureContext> {
    const contexts = new Map<string, SecureContext>()
    for (const [name, ofName] of ofNames) {
      contexts.set(name, this.#contextOfName(`${this.#name}.sni[${JSON.stringify(name)}]`, shared, ofName))
    }
    return contexts
  }

  #contextOfName(where: string, shared: Context, ofName: Context): SecureContext {
    return checkedContext(where, { ...pick(shared, contextKeys, certificateKeys), ...ofName }, true)
  }

  #contextOf(servername: string): SecureContext | undefined {
    const name = servername.toLowerCase()
    return this.#contexts.get(name) ?? this.#contexts.get(name.replace(/^[^.]+/, '*'))
  }
}

/** Options that are left out stay as they are; a certificate in another form replaces the earlier one. */
function replaced(before: Context, given: Context): Context {
  const isNewKey = given.key !== undefined || given.privateKeyIdentifier !== undefined
  const except = given.pfx !== undefined ? certificateKeys : isNewKey || given.cert !== undefined ? ['pfx'] : []
  return { ...pick(before, contextKeys, except), ...given }
}

/** Returns a context of these options. Throws an `InvalidOptionError` that shows no secret. */
function checkedContext(where: string, options: Context, needsCertificate: boolean): SecureContext {
  const { key, cert, pfx, passphrase, ca } = options
  if (passphrase !== undefined && typeof passphrase !== 'string') {
    throw new InvalidOptionError(`${where}.passphrase: expected a string, got a ${typeof passphrase}`)
  }
  const isPartial = isGiven(key) || isGiven(cert) || isGiven(pfx)
  if ((needsCertificate || isPartial) && !hasCertificate(options)) {
    throw new InvalidOptionError(`${where}: expected key and cert, or pfx`)
  }
  try {
    // Node.js ignores authorities that it cannot read.
    for (const authority of ca === undefined ? [] : [ca].flat()) {
      if (!Buffer.from(authority).includes('-----BEGIN')) throw new TypeError('no PEM')
      void new X509Certificate(authority)
    }
  } catch {
    throw new InvalidOptionError(`${where}.ca: expected certificates in PEM format`)
  }
  try {
    return createSecureContext(nodeOptions(options))
  } catch (error) {
    throw new InvalidOptionError(`${where}: ${reasonOf(error as NodeJS.ErrnoException)}`)
  }
}

/** The message of an error about TLS options, without the value that Node.js shows for one of the wrong type. */
function reasonOf({ code = '', message }: NodeJS.ErrnoException): string {
  const reason = code.startsWith('ERR_INVALID_ARG') ? message.replace(/\.? Received .*$/s, '') : message
  return `key, cert, pfx, passphrase, ca, crl or another TLS option is invalid: ${reason}`
}

function hasCertificate(options: Partial<Context>): boolean {
  const hasKey = isGiven(options.key) || isGiven(options.privateKeyIdentifier)
  return isGiven(options.pfx) || (hasKey && isGiven(options.cert))
}

/** Whether there is a value, or at least one in a list. */
function isGiven(value: unknown): boolean {
  return Array.isArray(value) ? value.length > 0 : value !== undefined && value !== null && value !== ''
}

function checkContextKeys(where: string, options: object): void {
  if (typeof options !== 'object' || options === null) throw new InvalidOptionError(`${where}: expected an object`)
  for (const key of Object.keys(options)) {
    if (contextKeys.includes(key)) continue
    throw new InvalidOptionError(
      `${where.replace(/[^.]$/, '$&.')}${key}: no such option; there are ${contextKeys.join(', ')}`,
    )
  }
}

/** Node.js takes no `readonly` arrays by its types. */
function nodeOptions(options: Context): SecureContextOptions {
  return options as unknown as SecureContextOptions
}

function withoutUndefined(options: object): Context {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
}

/** The options of these names that are given, without those of `except`. */
function pick(options: object, keys: readonly string[], except: readonly string[] = []): Context {
  const isWanted = ([key, value]: [string, unknown]): boolean =>
    value !== undefined && keys.includes(key) && !except.includes(key)
  return Object.fromEntries(Object.entries(options).filter(isWanted))
}
