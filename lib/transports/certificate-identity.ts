import type { ConnectionInfo } from '../../types/connection-info.ts'

/**
 * The name in a Client's certificate: its Common Name, or of its Subject Alternative Names the first DNS name,
 * else the first URI, else the first e-mail address. Undefined unless the certificate was verified.
 */
export function certificateIdentity(info: ConnectionInfo, from: 'cn' | 'san'): string | undefined {
  const certificate = info.peerCertificate
  // Only a verified certificate counts, because any name may be in one that a Client made itself.
  if (certificate === undefined || info.authorized !== true) return undefined
  const name =
    from === 'cn' ? commonName(certificate.toLegacyObject().subject?.CN) : alternativeName(certificate.subjectAltName)
  return name !== undefined && isUsable(name) ? name : undefined
}

/** Undefined for several Common Names, too, which Node.js returns as a list. */
function commonName(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

/** Splits `DNS:a.example, URI:urn:b, email:"c, d"`: Node.js quotes a value with special characters. */
function alternativeName(names: string | undefined): string | undefined {
  if (names === undefined) return undefined
  const first = new Map<string, string>()
  for (const [, kind, value] of names.matchAll(/(?:^|, )([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,"]*)/g)) {
    if (kind === undefined || value === undefined || first.has(kind)) continue
    first.set(kind, value.startsWith('"') ? String(JSON.parse(value)) : value)
  }
  return first.get('DNS') ?? first.get('URI') ?? first.get('email')
}

/**
 * An identity becomes a User Name, and in access lists a part of Topic Filters:
 * no control characters, no U+FFFD (it was not UTF-8), and no wildcards.
 */
function isUsable(name: string): boolean {
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  return name.length > 0 && name.length <= 1024 && !/[\u0000-\u001f\u007f-\u009f\ufffd+#]/.test(name)
}
