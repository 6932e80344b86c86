/** The audit's page, as far as no browser is needed: its words, its query, its places. */
import t from 'tap'
import type { AuditRow } from '../../control/wire/index.ts'
import {
  actorWords,
  actWords,
  auditGroups,
  auditQuery,
  countNewer,
  outcomeLook,
  outcomeWords,
  withNewest,
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

t.test('the newest page over what is shown', async (t) => {
  const pages = (ids: readonly number[], next?: string, outcome = 'ok') => ({
    rows: ids.map((id) => row({ id, outcome: outcome as AuditRow['outcome'] })),
    next,
  })
  const after = (before: ReturnType<typeof pages>, newest: ReturnType<typeof pages>) => {
    const { rows, next } = withNewest(before, newest)
    return { ids: rows.map(({ id }) => id), next }
  }
  t.same(after(pages([5, 4, 3, 2], '2'), pages([6, 5, 4], '4')), { ids: [6, 5, 4, 3, 2], next: '2' })
  t.same(after(pages([5, 4, 3], '3'), pages([6, 4, 3], '3')), { ids: [6, 4, 3], next: '3' }, 'one is gone')
  t.same(after(pages([3, 2], '2'), pages([9, 8, 7], '7')), { ids: [9, 8, 7], next: '7' }, 'no gap')
  t.same(after(pages([3, 2, 1]), pages([4, 3, 2])), { ids: [4, 3, 2], next: undefined }, 'and all there is')
  t.same(after(pages([]), pages([1])), { ids: [1], next: undefined })
  const ended = withNewest(pages([2, 1], '1', 'begun'), pages([2, 1], '1'))
  t.same(ended.rows.map(outcomeWords), ['done', 'done'], 'what has ended says so')
  t.equal(countNewer(pages([5, 4]).rows, pages([8, 7, 5]).rows), 2)
  t.equal(countNewer([], pages([8, 7]).rows), 2)
})
