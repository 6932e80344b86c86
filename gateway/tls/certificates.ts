// PEM files come in; checked certificates, chosen by the name that a client asks for, come out.
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { constants } from 'node:crypto'
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls'

/** Where one certificate is: the chain, leaf first, and its key; both may be one file. */
export interface CertificateFiles {
  readonly cert: string
  readonly key: string
}

/** Why certificate files can't be used; `fix` is the next step. */
export class CertificateError extends Error {
  readonly code: 'certificate_unreadable' | 'certificate_unusable'
  readonly fix: string

  constructor(code: CertificateError['code'], message: string, fix: string, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause })
    this.name = 'CertificateError'
    this.code = code
    this.fix = fix
  }
}

/** One certificate, ready for use. */
export interface Certificate {
  readonly files: CertificateFiles
  /** DNS names of its subjectAltName, in small letters; `*.` begins a wildcard (RFC 6125 §6.4.3). */
  readonly names: readonly string[]
  readonly validFromMs: number
  readonly validToMs: number
  /** What a TLS server is made of. */
  readonly options: SecureContextOptions
  readonly context: SecureContext
}

/** TLS 1.2 only with forward secrecy and authenticated encryption; the client's order, since phones know what is fast. */
const POLICY = {
  minVersion: 'TLSv1.2',
  ciphers: [
    'TLS_AES_128_GCM_SHA256',
    'TLS_AES_256_GCM_SHA384',
    'TLS_CHACHA20_POLY1305_SHA256',
    'ECDHE-ECDSA-AES128-GCM-SHA256',
    'ECDHE-RSA-AES128-GCM-SHA256',
    'ECDHE-ECDSA-AES256-GCM-SHA384',
    'ECDHE-RSA-AES256-GCM-SHA384',
    'ECDHE-ECDSA-CHACHA20-POLY1305',
    'ECDHE-RSA-CHACHA20-POLY1305',
  ].join(':'),
  honorCipherOrder: false,
  secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
  // Of every worker and every run, so that a ticket is understood where its key is.
  sessionIdContext: 'postern',
} as const satisfies SecureContextOptions

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw new CertificateError(
      'certificate_unreadable',
      `The certificate file ${path} cannot be read.`,
      'Check the paths of --tls-cert and --tls-key, and that this user may read them.',
      cause,
    )
  }
}

function unusable(path: string, why: string, cause?: unknown): CertificateError {
  return new CertificateError(
    'certificate_unusable',
    `${path}: ${why}.`,
    'Give PEM files, the certificate chain leaf first and the key unencrypted, in the same order in --tls-cert and --tls-key.',
    cause,
  )
}

function parsed<T>(path: string, why: string, parse: () => T): T {
  try {
    return parse()
  } catch (cause) {
    throw unusable(path, why, cause)
  }
}

const dnsNames = (certificate: X509Certificate): string[] =>
  [...(certificate.subjectAltName ?? '').matchAll(/(?:^|, )DNS:([^,"\s]+)/g)].map((match) =>
    (match[1] as string).toLowerCase(),
  )

/** Reads and checks one pair. @throws CertificateError */
export async function loadCertificate(files: CertificateFiles): Promise<Certificate> {
  const [cert, key] = await Promise.all([read(files.cert), read(files.key)])
  const leaf = parsed(files.cert, 'is not a certificate in PEM', () => new X509Certificate(cert))
  const secret = parsed(files.key, 'is not an unencrypted private key in PEM', () => createPrivateKey(key))
  if (!leaf.checkPrivateKey(secret)) throw unusable(files.key, `is not the key of ${files.cert}`)
  const options = { ...POLICY, cert, key }
  return {
    files,
    names: dnsNames(leaf),
    validFromMs: Date.parse(leaf.validFrom),
    validToMs: Date.parse(leaf.validTo),
    options,
    context: parsed(files.cert, 'cannot be used for TLS', () => createSecureContext(options)),
  }
}

/** The certificates of a listener, asked by name. */
export interface Certificates {
  readonly all: readonly Certificate[]
  /** For the name that a client asks for, exact before wildcard; undefined: the first certificate serves. */
  choose(name: string): SecureContext | undefined
}

/** Indexes certificates by name; of two for one name the earlier serves. */
export function certificatesOf(all: readonly Certificate[]): Certificates {
  const byName = new Map<string, SecureContext>()
  for (const { names, context } of all)
    for (const name of names) if (!byName.has(name)) byName.set(name, context)
  return {
    all,
    choose(name) {
      const lower = name.toLowerCase()
      const dot = lower.indexOf('.')
      return byName.get(lower) ?? (dot < 1 ? undefined : byName.get(`*${lower.slice(dot)}`))
    },
  }
}

/** True when one of the certificates is for this name, or for all names like this one. */
export function covers(certificates: Certificates, host: string): boolean {
  return certificates.choose(host) !== undefined
}
