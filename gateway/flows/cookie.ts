// Pure. A name and a value come in; a Set-Cookie field goes out: always host-only, HttpOnly, SameSite=Lax.
import type { Site } from '../host/site.ts'

/** A `Set-Cookie` header field, flat, for a cookie of ours that lives for `maxAgeSeconds`. */
export function setCookie(
  site: Site,
  name: string,
  value: string,
  maxAgeSeconds: number,
  path = '/',
): string[] {
  const secure = site.secure ? '; Secure' : ''
  const age = Math.max(0, Math.floor(maxAgeSeconds))
  return ['Set-Cookie', `${name}=${value}; Path=${path}; Max-Age=${age}; HttpOnly; SameSite=Lax${secure}`]
}

/** A `Set-Cookie` header field that takes a cookie of ours away. */
export function clearCookie(site: Site, name: string, path = '/'): string[] {
  return setCookie(site, name, '', 0, path)
}
