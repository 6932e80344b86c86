/** Who did what: filtered, in pages, and whole as JSON lines. */
import type { z } from 'zod'
import type { Person } from '../authorization/authorization.ts'
import type { Call, Route } from '../api/call.ts'
import type { Deployment } from '../deployment.ts'
import { numberedPageOf, paged } from '../api/paging.ts'
import { parseQuery } from '../api/parse.ts'
import type { AuditChoice } from '../store/audit.ts'
import { everyAudit, listAudit } from '../store/audit.ts'
import { findWorkspace } from '../store/workspaces.ts'
import { roleIn } from '../authorization/whose.ts'
import { auditQuerySchema, paths } from '../wire/index.ts'
import type { AuditRow } from '../wire/index.ts'

/** An empty field asks for nothing. */
function choiceOf(
  asked: Omit<z.output<typeof auditQuerySchema>, 'workspace'>,
): Omit<AuditChoice, 'workspaceId' | 'concerns'> {
  const { since, until, ...texts } = asked
  return {
    ...Object.fromEntries(Object.entries(texts).filter(([, text]) => text !== '')),
    ...(since === undefined ? {} : { sinceMs: since }),
    ...(until === undefined ? {} : { untilMs: until }),
  }
}

async function wanted(deployment: Deployment, { query, person }: Call): Promise<AuditChoice> {
  const { db } = deployment.feed
  const { workspace: named = '', ...asked } = parseQuery(auditQuerySchema, query)
  // One that is gone is still known by its id; of another's, nothing is said either way.
  const workspace =
    named === ''
      ? null
      : ((await findWorkspace(db, { id: named })) ?? (await findWorkspace(db, { name: named })))
  const owns = workspace !== null && (await roleIn(db, workspace, person, deployment.now())) === 'owner'
  return {
    ...choiceOf(asked),
    ...(named === '' ? {} : { workspaceId: workspace?.id ?? named }),
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
        const page = numberedPageOf(call.query)
        const choice = await wanted(deployment, call)
        const rows = await listAudit(feed.db, choice, { before: page.before, limit: page.limit + 1 })
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
