/** Who did what: filtered, in pages, and whole as JSON lines. */
import type { Person } from '../authorization/authorization.ts'
import type { Call, Route } from '../api/call.ts'
import type { Deployment } from '../deployment.ts'
import { pageOf, paged } from '../api/paging.ts'
import type { AuditChoice } from '../store/audit.ts'
import { everyAudit, listAudit } from '../store/audit.ts'
import { findWorkspace } from '../store/workspaces.ts'
import { roleIn } from '../authorization/whose.ts'
import { ApiError, auditActions, auditOutcomes, paths } from '../wire/index.ts'
import type { AuditRow } from '../wire/index.ts'

function timeOf(query: URLSearchParams, path: 'since' | 'until'): number | undefined {
  const given = query.get(path)
  if (given === null) return undefined
  const atMs = /^\d{1,15}$/.test(given) ? Number(given) : Date.parse(given)
  if (Number.isFinite(atMs)) return atMs
  throw new ApiError('invalid_body', undefined, { errors: [{ path, message: 'a time (RFC 3339), or ms' }] })
}

const objects = new Set(auditActions.map((action) => `${action.split('.')[0]}.*`))
const known: Readonly<Record<'action' | 'outcome', ReadonlySet<string>>> = {
  action: new Set([...auditActions, ...objects]),
  outcome: new Set([...auditOutcomes, 'refused']),
}

function choiceOf(query: URLSearchParams): Omit<AuditChoice, 'workspaceId' | 'concerns'> {
  const text = (name: 'actor' | 'action' | 'object' | 'outcome'): Record<string, string> => {
    const given = query.get(name)
    if (given === null || given === '') return {}
    if ((name === 'action' || name === 'outcome') && !known[name].has(given))
      throw new ApiError('invalid_body', undefined, { errors: [{ path: name, message: 'is not known' }] })
    return { [name]: given.slice(0, 200) }
  }
  const [sinceMs, untilMs] = [timeOf(query, 'since'), timeOf(query, 'until')]
  return {
    ...text('actor'),
    ...text('action'),
    ...text('object'),
    ...text('outcome'),
    ...(sinceMs === undefined ? {} : { sinceMs }),
    ...(untilMs === undefined ? {} : { untilMs }),
  }
}

async function wanted(deployment: Deployment, { query, person }: Call): Promise<AuditChoice> {
  const { db } = deployment.feed
  const ref = query.get('workspace')
  const named = ref === null || ref === '' ? null : ref.slice(0, 64)
  // One that is gone is still known by its id; of another's, nothing is said either way.
  const workspace =
    named === null
      ? null
      : ((await findWorkspace(db, { id: named })) ?? (await findWorkspace(db, { name: named })))
  const owns = workspace !== null && (await roleIn(db, workspace, person, deployment.now())) === 'owner'
  return {
    ...choiceOf(query),
    ...(named === null ? {} : { workspaceId: workspace?.id ?? named }),
    ...(owns || person.readsAll ? {} : { concerns: person.id }),
  }
}

/** Where others came from is not for the owner of a workspace. */
function shownTo(person: Person): (row: AuditRow) => AuditRow {
  if (person.readsAll) return (row) => row
  return (row) =>
    row.actor.id === person.id
      ? row
      : { ...row, actor: { ...row.actor, via: null }, ip: '', userAgent: '', requestId: '' }
}

async function* lines(pages: AsyncIterable<AuditRow[]>, person: Person): AsyncGenerator<string> {
  const shown = shownTo(person)
  for await (const rows of pages) yield rows.map((row) => `${JSON.stringify(shown(row))}\n`).join('')
}

export function auditRoutes(deployment: Deployment): Route[] {
  const { feed, audit } = deployment
  return [
    {
      method: 'GET',
      path: paths.audit,
      async run(call) {
        const page = pageOf(call.query)
        const before = page.after === undefined ? undefined : Number(page.after)
        if (before !== undefined && !Number.isSafeInteger(before))
          throw new ApiError('invalid_body', undefined, {
            errors: [{ path: 'after', message: 'is not a cursor' }],
          })
        const choice = await wanted(deployment, call)
        const rows = await listAudit(feed.db, choice, { before, limit: page.limit + 1 })
        const body = paged(
          rows,
          page,
          ({ id }) => String(id),
          (shown) => shown.map(shownTo(call.person)),
        )
        return { status: 200, body }
      },
    },
    {
      method: 'GET',
      path: paths.auditExport,
      async run(call) {
        const { person, origin } = call
        const choice = await wanted(deployment, call)
        const actor = { kind: 'user', id: person.id, name: person.username } as const
        // Who took a copy of what others did is told as well.
        if (person.readsAll) await audit.record({ action: 'audit.export', actor, origin })
        const text = lines(everyAudit(feed.db, choice), person)
        return {
          status: 200,
          stream: { type: 'application/x-ndjson; charset=utf-8', fileName: 'audit.jsonl', text },
        }
      },
    },
  ]
}
