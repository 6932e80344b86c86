// Pure. The public URL and the base domain come in; a sentence for the operator comes out where the two are one site to browsers.
import { getDomain } from 'tldts'

/**
 * Why workspaces should have a registrable domain of their own, where they don't; null: they do. `localhost` is one
 * site with everything below it, which is fine on one's own machine.
 */
export function sameSiteWarning(publicUrl: string, baseDomain: string): string | null {
  const host = new URL(publicUrl).hostname
  if (host === 'localhost' || host.endsWith('.localhost')) return null
  const options = { allowPrivateDomains: true }
  const publicDomain = getDomain(host, options)
  const base = getDomain(baseDomain, options)
  if (publicDomain === null || base === null || publicDomain !== base) return null
  return (
    `The dashboard (${host}) and the workspaces (*.${baseDomain}) share the domain ${base}, so that browsers treat them as one site. ` +
    'Postern guards against what that opens, but a domain of its own for the workspaces is safer.'
  )
}
