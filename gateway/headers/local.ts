// Pure. Fields of a request come in; the same for a program that knows itself as localhost only comes out.
import { Field, fieldKind } from './fields.ts'

/**
 * Makes `Host` what a browser on the program's own machine would send, `localhost:<port>`, and with it an `Origin` that
 * is the workspace host's own, as development servers compare the two. Every other origin stays as it is: which of
 * those may come in is the program's to say. `headers` is flat, and changed in place.
 */
export function makeLocal(
  headers: string[],
  at: { readonly port: number; readonly scheme: 'http' | 'https' },
  ownOrigin: string,
): void {
  const isUsual = at.port === (at.scheme === 'https' ? 443 : 80)
  const host = isUsual ? 'localhost' : `localhost:${at.port}`
  for (let i = 0; i < headers.length; i += 2) {
    const kind = fieldKind(headers[i] as string)
    if (kind === Field.host) headers[i + 1] = host
    else if (kind === Field.origin && headers[i + 1] === ownOrigin) headers[i + 1] = `${at.scheme}://${host}`
  }
}
