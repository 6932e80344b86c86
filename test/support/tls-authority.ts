/** Names come in; certificates of a throw-away authority come out, made by openssl in a folder that goes with the test. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CertificateFiles } from '../../gateway/tls/certificates.ts'

interface TestLike {
  teardown(run: () => unknown): void
}

/** An authority that only this test believes. */
export interface Authority {
  readonly folder: string
  /** PEM. */
  readonly ca: string
  /** A new pair of files, good for 90 days; of the same name: other files in their place. */
  issue(name: string, hosts: readonly string[]): CertificateFiles
}

const openssl = (...words: readonly string[]): void =>
  void execFileSync('openssl', words, { stdio: ['ignore', 'ignore', 'pipe'] })

let held: Authority | null = null

/** One for all of this process's tests that need any; null where openssl is not installed. */
export function sharedAuthority(): Authority | null {
  try {
    held ??= makeAuthority({ teardown: (run) => void process.once('exit', run) })
    return held
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw err
  }
}

/** Makes it; its folder is removed at the test's end. */
export function makeAuthority(t: TestLike): Authority {
  const folder = mkdtempSync(join(tmpdir(), 'tls-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const at = (file: string): string => join(folder, file)
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  openssl(
    'req',
    '-x509',
    ...key,
    '-days',
    '3',
    '-subj',
    '/CN=Throw-away CA',
    '-keyout',
    at('ca.key'),
    '-out',
    at('ca.pem'),
  )
  return {
    folder,
    ca: readFileSync(at('ca.pem'), 'utf8'),
    issue(name, hosts) {
      const files = { cert: at(`${name}.pem`), key: at(`${name}.key`) }
      openssl('req', ...key, '-subj', `/CN=${name}`, '-keyout', files.key, '-out', at(`${name}.csr`))
      writeFileSync(at(`${name}.ext`), `subjectAltName=${hosts.map((host) => `DNS:${host}`).join(',')}\n`)
      const signing = ['-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-CAcreateserial']
      openssl(
        'x509',
        '-req',
        '-in',
        at(`${name}.csr`),
        ...signing,
        '-days',
        '90',
        '-extfile',
        at(`${name}.ext`),
        '-out',
        files.cert,
      )
      return files
    },
  }
}
