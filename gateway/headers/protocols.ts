// Pure. What a WebSocket handshake offers comes in; the token among it, and what is left for the app, come out.

/**
 * A page can't set header fields on a WebSocket, only name subprotocols (RFC 6455 §11.3.4): so a token may be one of
 * those, as `postern.token.pst_…`. In any case: no other reading of ours may reach an app either.
 */
const OURS = /^[ \t]*postern\.token\./i
const ANYWHERE = /postern\.token\./i
const PREFIX = 'postern.token.'

const NONE: readonly string[] = []

/** The entries of an offer that carry a token of ours, well-formed or not, as they came. */
export function tokenEntries(offer: string | null): readonly string[] {
  if (offer === null || !ANYWHERE.test(offer)) return NONE
  return offer.split(',').filter((entry) => OURS.test(entry))
}

/** What such an entry says after its prefix; null when that isn't spelt exactly so. */
export function tokenOfEntry(entry: string): string | null {
  const bare = entry.replace(/^[ \t]+|[ \t]+$/g, '')
  return bare.startsWith(PREFIX) ? bare.slice(PREFIX.length) : null
}

/** The offer without those entries, the others' bytes and order kept; '' when nothing is left. */
export function withoutTokens(offer: string): string {
  if (!ANYWHERE.test(offer)) return offer
  const left = offer.split(',').filter((entry) => !OURS.test(entry))
  if (left.every((entry) => /^[ \t]*$/.test(entry))) return ''
  return left.join(',').replace(/^[ \t]+/, '')
}

/**
 * What an upgrade is answered with where the app was offered nothing, as all that came was a token: a browser ends a
 * connection that chooses none of what its page named. Null: the app's own choice stands.
 */
export function chosenForUs(offer: string | null): string | null {
  const ours = tokenEntries(offer)
  if (offer === null || ours.length !== 1 || withoutTokens(offer) !== '') return null
  return (ours[0] as string).replace(/^[ \t]+|[ \t]+$/g, '')
}
