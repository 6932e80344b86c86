// What was set comes in; sentences for the operator come out where visitors would get something else than was meant.
import type { PublicListener } from '../seams.ts'
import type { Site } from '../host/site.ts'
import { type Certificates, covers } from './certificates.ts'

const DAY_MS = 86_400_000
/** A certificate that ends sooner is worth a word: the programs that renew them do so a month before. */
const ENDS_SOON_MS = 14 * DAY_MS

const dateOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10)

/** What a certificate says of names and time, against what visitors will ask for. */
export function certificateWarnings(certificates: Certificates, site: Site, nowMs: number): string[] {
  const warnings: string[] = []
  for (const { files, validFromMs, validToMs } of certificates.all) {
    if (validToMs <= nowMs)
      warnings.push(`The certificate ${files.cert} has ended on ${dateOf(validToMs)}: browsers refuse it.`)
    else if (validFromMs > nowMs)
      warnings.push(`The certificate ${files.cert} begins on ${dateOf(validFromMs)}; is the clock right?`)
    else if (validToMs - nowMs < ENDS_SOON_MS)
      warnings.push(`The certificate ${files.cert} ends on ${dateOf(validToMs)}; renew it.`)
  }
  if (!covers(certificates, site.publicHost))
    warnings.push(`No certificate is for ${site.publicHost}, the host of the public URL.`)
  if (site.paths !== null && !covers(certificates, site.paths.host))
    warnings.push(`No certificate is for ${site.paths.host}, the host of the path URL.`)
  // Any name does: only a wildcard is for workspaces that do not exist yet.
  if (!covers(certificates, `any.${site.baseDomain}`))
    warnings.push(
      `No certificate is for *.${site.baseDomain}, so that browsers refuse the workspaces' addresses.`,
    )
  return warnings
}

/** What an operator should know who gave path mode another port of the dashboard's own host. */
export function pathWarnings({ paths, publicHost }: Site): string[] {
  return paths?.host !== publicHost
    ? []
    : [
        `The path URL ${paths.origin} is another port of the dashboard's own host. Browsers send and take cookies without looking at the port, so that pages of workspaces can sign a browser out of the dashboard, or in to another account there. Another host name is safer.`,
      ]
}

/** Where the public URL and the listeners don't fit together. */
export function schemeWarnings(
  site: Site,
  listeners: readonly PublicListener[],
  hasTrustedProxies: boolean,
): string[] {
  const speaksTls = listeners.some(({ speaks }) => speaks === 'https')
  if (speaksTls && !site.secure)
    return [
      `--tls-listen is given, but the public URL ${site.publicOrigin} is http: cookies are not kept to https. Set --public-url to the https address.`,
    ]
  const isFronted = hasTrustedProxies || listeners.some((listener) => 'path' in listener)
  if (!speaksTls && site.secure && !isFronted)
    return [
      `The public URL ${site.publicOrigin} is https, but nothing here ends TLS: give --tls-listen with --tls-cert, or name the front that does it in --trusted-proxies.`,
    ]
  return []
}
