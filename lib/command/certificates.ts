import { createSecureContext } from 'node:tls'
import type { Listener } from '../../types/listen.ts'
import { file, UsageError } from './values.ts'

/** The options that name files of TLS. */
export const certificateOptions = ['key', 'cert', 'ca', 'crl', 'passphrase-file'] as const

/** The paths of the files by option. */
export type CertificateFiles = Readonly<Partial<Record<(typeof certificateOptions)[number], unknown>>>

export interface Certificates {
  readonly key: Buffer
  readonly cert: Buffer
  readonly ca?: Buffer
  readonly crl?: Buffer
  readonly passphrase?: string
}

/** Reads the files. Throws a `UsageError` for a file that cannot be read, and for what TLS does not accept. */
export function readCertificates(files: CertificateFiles): Certificates {
  const certificates = {
    key: file('key', files.key),
    cert: file('cert', files.cert),
    ...(files.ca !== undefined && { ca: file('ca', files.ca) }),
    ...(files.crl !== undefined && { crl: file('crl', files.crl) }),
    ...(files['passphrase-file'] !== undefined && {
      passphrase: file('passphrase-file', files['passphrase-file'])
        .toString()
        .replace(/\r?\n$/, ''),
    }),
  }
  try {
    createSecureContext(certificates)
  } catch (error) {
    throw new UsageError(`--key, --cert, --ca, --crl or --passphrase-file: ${(error as Error).message}`)
  }
  return certificates
}

/** Reads the files again and uses them for new connections. If they are wrong, throws, and nothing is changed. */
export function replaceCertificates(listeners: readonly Listener[], files: CertificateFiles): void {
  const certificates = readCertificates(files)
  for (const listener of listeners) listener.replaceCertificate?.(certificates)
}
