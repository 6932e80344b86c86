/** The audit's page, as far as no browser is needed: its words, its query, its places. */
import t from 'tap'
import type { AuditRow } from '../../control/wire/index.ts'
import {
  actorWords,
  actWords,
  auditGroups,
  auditQuery,
  outcomeLook,
  outcomeWords,
} from '../../web/src/lib/audit.ts'
import { activityOf, hrefOf, placeOf } from '../../web/src/lib/routes.ts'

const row = (over: Partial<AuditRow>): AuditRow => ({
  id: 1,
  atMs: 0,
  actor: { kind: 'user', id: 'u', name: 'ada', via: null },
  action: 'workspace.start',
  object: { kind: 'workspace', id: 'w', name: 'shop' },
  workspaceId: 'w',
  outcome: 'ok',
  count: 1,
  ip: '',
  userAgent: '',
  requestId: '',
  details: {},
  ...over,
})

t.test('rows in a person’s words', async (t) => {
  t.equal(actWords('access.break-glass'), 'access: break glass')
  t.equal(actorWords(row({})), 'ada')
  const actor = (kind: AuditRow['actor']['kind'], via: AuditRow['actor']['via'] = null) =>
    actorWords(row({ actor: { kind, id: '', name: '', via } }))
  t.equal(actor('system'), 'Postern')
  t.equal(actor('anonymous'), 'nobody signed in')
  t.equal(actor('guest', { kind: 'link', id: 'l' }), 'a guest, by a link')
  t.equal(actor('user'), 'a former user')
  const outcomes = ['ok', 'begun', 'unknown', 'not_found'].map((outcome) => row({ outcome }))
  t.same(outcomes.map(outcomeWords), ['done', 'at work', 'not known', 'not found'])
  t.same(outcomes.map(outcomeLook), ['ok', 'wait', 'idle', 'bad'])
  t.ok(auditGroups.includes('workspace.*') && auditGroups.includes('access.*'))
})

t.test('the page’s URL is the query, and its places have URLs', async (t) => {
  t.equal(
    auditQuery(new URLSearchParams('add&actor= ada &since=2026-11-22&x=1')),
    'actor=ada&since=2026-11-22',
  )
  for (const page of ['audit', 'hooks'] as const) {
    t.same(placeOf(hrefOf({ page })), { page })
    t.equal(activityOf({ page }), 'audit')
  }
})
