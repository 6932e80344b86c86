// A guest of one host of a workspace comes in on their way along a chain; a sealed word for the next host goes out, and a session there.
import { type NewSession, paths } from '../../control/wire/index.ts'
import { answerCode, sendRedirect } from '../pages/answer.ts'
import { originOf, type Visit } from '../edge.ts'
import { factsAt } from '../facts/facts.ts'
import { placeOfLabel, type WorkspacePlace } from '../host/host.ts'
import { workspaceOrigin } from '../host/site.ts'
import { chainOf, chainValue, goOn } from './chain.ts'
import { challengeOf, seal, unseal } from './flow.ts'
import { queryOf } from './form.ts'

const WORD_MS = 60_000
const sealedFor = (label: string): string => `guest of ${label}`

/**
 * `GET /.postern/join`, on the host where the guest is known, as the dashboard's host is for who has an account: a word
 * bound to the next host and to the nonce that waits there.
 */
export function letGuestJoin(visit: Visit, place: WorkspacePlace): Promise<void> {
  const { edge, scan } = visit
  const query = queryOf(visit.target)
  const chain = chainOf(visit)
  const to = placeOfLabel(query.get('host') ?? '')
  const challenge = query.get('c') ?? ''
  const isPerson = scan.fetchMode === null || scan.fetchMode === 'navigate'
  const fits =
    chain !== null && chain.userId === '' && chain.back === place.label && chain.rest[0] === to?.label
  if (!isPerson || !fits || to === null || !/^[A-Za-z0-9_-]{43}$/.test(challenge)) {
    answerCode(visit, 'bad_request', { detail: 'The link is not complete.' })
    return Promise.resolve()
  }
  const { identity } = factsAt(visit, place, 'GET', '/')
  if (identity.kind !== 'link' || identity.workspaceId !== chain.workspaceId) goOn(visit, chain)
  else {
    const word = JSON.stringify([identity.sessionHash, challenge, edge.now()])
    const code = encodeURIComponent(seal(edge.flowKey, sealedFor(to.label), word))
    const next = `${workspaceOrigin(edge.site, to.label)}${paths.callback}`
    sendRedirect(visit, `${next}?code=${code}&chain=${chainValue(visit, chain)}`)
  }
  return Promise.resolve()
}

/** The guest's session on this host, for the word that was sealed for it and this browser; null: it wasn't. */
export async function redeemAsGuest(
  visit: Visit,
  place: WorkspacePlace,
  code: string,
  nonce: string,
): Promise<NewSession | null> {
  const { edge } = visit
  const body = unseal(edge.flowKey, sealedFor(place.label), code)
  if (body === null) return null
  // The seal proves that we wrote it.
  const [sessionHash, challenge, atMs] = JSON.parse(body) as [string, string, number]
  const age = edge.now() - atMs
  if (age < 0 || age > WORD_MS || challengeOf(nonce) !== challenge) return null
  return edge.control.joinGuest({ sessionHash, label: place.label }, originOf(visit))
}
