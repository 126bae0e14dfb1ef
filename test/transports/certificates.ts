import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Certificate {
  readonly key: string
  readonly cert: string
}

/** An authority that lives as long as the test, so that no certificate in the repository can expire. */
export class CertificateAuthority {
  readonly #folder = mkdtempSync(join(tmpdir(), 'haltere-ca-'))
  readonly cert: string

  constructor(name = 'Test Authority') {
    const { key, cert } = this.#selfSigned('ca', `/CN=${name}`)
    this.cert = cert
    writeFileSync(join(this.#folder, 'ca.key'), key)
    writeFileSync(join(this.#folder, 'ca.pem'), cert)
  }

  /** Signs a certificate: `subject` as `/CN=device-1`, `san` as `DNS:device-1,URI:urn:device:1`. */
  issue(subject: string, san?: string): Certificate {
    const file = (name: string): string => join(this.#folder, name)
    writeFileSync(
      file('extensions'),
      `basicConstraints=CA:FALSE\n${san === undefined ? '' : `subjectAltName=${san}\n`}`,
    )
    openssl('req', '-new', ...newKey, '-keyout', file('key'), '-out', file('csr'), '-utf8', '-subj', subject)
    const signer = ['-CA', file('ca.pem'), '-CAkey', file('ca.key'), '-CAcreateserial']
    openssl(
      'x509',
      '-req',
      '-in',
      file('csr'),
      ...signer,
      '-days',
      '2',
      '-extfile',
      file('extensions'),
      '-out',
      file('pem'),
    )
    return { key: readFileSync(file('key'), 'utf8'), cert: readFileSync(file('pem'), 'utf8') }
  }

  /** Signed by nobody but itself. */
  selfSigned(subject: string): Certificate {
    return this.#selfSigned('self', subject)
  }

  /** The list of these certificates as revoked, in PEM format. */
  revoked(...certificates: Certificate[]): string {
    const file = (name: string): string => join(this.#folder, name)
    writeFileSync(file('index'), '')
    writeFileSync(
      file('config'),
      `[ca]\ndefault_ca=a\n[a]\ndatabase=${file('index')}\ncertificate=${file('ca.pem')}\n` +
        `private_key=${file('ca.key')}\ndefault_md=sha256\ndefault_crl_days=2\nunique_subject=no\n`,
    )
    for (const { cert } of certificates) {
      writeFileSync(file('revoked.pem'), cert)
      openssl('ca', '-config', file('config'), '-revoke', file('revoked.pem'))
    }
    openssl('ca', '-config', file('config'), '-gencrl', '-out', file('crl'))
    return readFileSync(file('crl'), 'utf8')
  }

  /** Key and certificate in one PKCS #12 file. */
  pfx({ key, cert }: Certificate, passphrase: string): Buffer {
    const file = (name: string): string => join(this.#folder, name)
    writeFileSync(file('both.pem'), key + cert)
    openssl('pkcs12', '-export', '-in', file('both.pem'), '-passout', `pass:${passphrase}`, '-out', file('pfx'))
    return readFileSync(file('pfx'))
  }

  /** The key, encrypted. */
  encrypted({ key }: Certificate, passphrase: string): string {
    const file = (name: string): string => join(this.#folder, name)
    writeFileSync(file('plain.key'), key)
    openssl(
      'pkey',
      '-in',
      file('plain.key'),
      '-aes256',
      '-passout',
      `pass:${passphrase}`,
      '-out',
      file('encrypted.key'),
    )
    return readFileSync(file('encrypted.key'), 'utf8')
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }

  /** Where the authority's own certificate lies, for the command line of other programs. */
  get file(): string {
    return join(this.#folder, 'ca.pem')
  }

  #selfSigned(name: string, subject: string): Certificate {
    const key = join(this.#folder, `${name}.key`)
    const pem = join(this.#folder, `${name}.pem`)
    openssl('req', '-x509', ...newKey, '-keyout', key, '-out', pem, '-days', '2', '-utf8', '-subj', subject)
    return { key: readFileSync(key, 'utf8'), cert: readFileSync(pem, 'utf8') }
  }
}

const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

function openssl(...words: string[]): void {
  execFileSync('openssl', words, { stdio: ['ignore', 'ignore', 'pipe'] })
}
