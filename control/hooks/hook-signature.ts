/** Pure. A webhook's key and message go in; the headers by which the receiver knows it comes from us come out. */
import { createHmac } from 'node:crypto'

/** What a receiver is given of the key, once. */
export const shownSecret = (key: Buffer): string => `whsec_${key.toString('base64')}`

/**
 * HMAC-SHA256 over `id.timestamp.body`, `timestamp` in seconds. Source: the Standard Webhooks specification, v1
 * symmetric signatures.
 */
export function signedHeaders(
  key: Buffer,
  message: { readonly id: string; readonly atMs: number; readonly body: string },
): Record<string, string> {
  const timestamp = String(Math.floor(message.atMs / 1000))
  const signature = createHmac('sha256', key)
    .update(`${message.id}.${timestamp}.${message.body}`)
    .digest('base64')
  return {
    'webhook-id': message.id,
    'webhook-timestamp': timestamp,
    'webhook-signature': `v1,${signature}`,
  }
}
