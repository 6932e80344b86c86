/** Log fields come in; the same fields without secrets come out. Pure. */

const secretKey =
  /^(authorization|proxy-authorization|cookie|set-cookie|env|.*(password|secret|token|credential|proof|databaseurl|privatekey))$/i
const secretText: readonly (readonly [RegExp, string])[] = [
  [/\bps[tjaigrvl]_[A-Za-z0-9_-]{8,}/g, '[redacted]'],
  // A JWT: begun by `{"`, of three parts.
  [/\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}/g, '[redacted]'],
  [/\b(postgres(?:ql)?:\/\/[^:@/\s]*):[^@\s]*@/g, '$1:[redacted]@'],
  [/([?&](?:token|code|nonce)=)[^&\s"]+/g, '$1[redacted]'],
  [/\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{8,}/gi, '$1 [redacted]'],
]
const deepest = 6
/** Longer texts are cut: what somebody sends may be a megabyte (CVE-2026-54338). */
const longest = 4096

/** Hides our tokens, bearer credentials and passwords of database URLs inside a text, and bounds it. */
export function redactText(text: string): string {
  const bounded = text.length > longest ? `${text.slice(0, longest)}…` : text
  return secretText.reduce((result, [pattern, instead]) => result.replace(pattern, instead), bounded)
}

/** A copy in which values under secret keys are hidden; errors become plain objects; depth is bounded. */
export function redact(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return redactText(value)
  if (typeof value === 'bigint') return value.toString()
  if (typeof value !== 'object' || value === null) return value
  if (depth >= deepest) return '[deeper]'
  if (value instanceof Error) return redactError(value, depth)
  if (Array.isArray(value)) return value.map((item) => redact(item, depth + 1))
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      key,
      secretKey.test(key) && item !== null && item !== undefined ? '[redacted]' : redact(item, depth + 1),
    ]),
  )
}

function redactError(err: Error, depth: number): unknown {
  const code = (err as { code?: unknown }).code
  return {
    type: err.name,
    message: redactText(err.message),
    ...(code === undefined ? {} : { code: redact(code, depth + 1) }),
    ...(err.stack === undefined ? {} : { stack: redactText(err.stack) }),
    ...(err.cause === undefined ? {} : { cause: redact(err.cause, depth + 1) }),
  }
}
