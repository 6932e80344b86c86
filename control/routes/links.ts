/** Links to a workspace and the passwords before its ports, for who may share it. */
import type { Route } from '../api/call.ts'
import type { Deployment } from '../deployment.ts'
import { parseBody } from '../api/parse.ts'
import type { Passwords } from '../credentials/passwords.ts'
import { makeLink, revokeLink } from '../service/links.ts'
import { removePassword, setPassword } from '../service/workspace-passwords.ts'
import type { Link } from '../store/links.ts'
import { listLinks } from '../store/links.ts'
import { listUsers } from '../store/users.ts'
import { listWorkspacePasswords, NO_HASH } from '../store/workspace-passwords.ts'
import { createLinkSchema, paths, removePasswordSchema, setPasswordSchema } from '../wire/index.ts'
import type { LinkView, PasswordView } from '../wire/index.ts'

/** All but its secret's hash. */
const viewOf = (link: Link, username: string): LinkView => ({
  id: link.id,
  name: link.name,
  port: link.port,
  createdBy: { id: link.createdBy, username },
  createdAtMs: link.createdAtMs,
  expiresAtMs: link.expiresAtMs,
  maxUses: link.maxUses,
  uses: link.uses,
  lastUsedAtMs: link.lastUsedAtMs,
})

function ofLinks(deployment: Deployment): Route[] {
  const { db } = deployment.feed
  return [
    {
      method: 'GET',
      path: paths.workspaceLinks,
      async run({ workspace }) {
        const names = new Map((await listUsers(db)).map(({ id, username }) => [id, username]))
        const links = await listLinks(db, { workspaceId: workspace.id })
        const items = links.map((link) => viewOf(link, names.get(link.createdBy) ?? ''))
        return { status: 200, body: { items } }
      },
    },
    {
      method: 'POST',
      path: paths.workspaceLinks,
      async run({ workspace, person, body }) {
        const asked = parseBody(createLinkSchema, body)
        const { link, url } = await makeLink(deployment, workspace, person.id, asked)
        const { id, name, port, maxUses } = link
        const audit = { object: { id, name }, details: { port, maxUses } }
        return { status: 201, body: { id, url }, audit }
      },
    },
    {
      method: 'DELETE',
      path: paths.workspaceLink,
      async run({ workspace, params }) {
        const { id, name } = await revokeLink(deployment, workspace.id, params['link'] ?? '')
        return { status: 204, audit: { object: { id, name } } }
      },
    },
  ]
}

export function linkRoutes(deployment: Deployment, passwords: Passwords): Route[] {
  return [
    ...ofLinks(deployment),
    {
      method: 'GET',
      path: paths.workspacePassword,
      async run({ workspace }) {
        const rows = await listWorkspacePasswords(deployment.feed.db, [workspace.id])
        const items = rows.map(({ port, setAtMs, hash }): PasswordView => ({
          port,
          setAtMs,
          lapsed: hash === NO_HASH,
        }))
        return { status: 200, body: { items } }
      },
    },
    {
      method: 'PUT',
      path: paths.workspacePassword,
      async run({ workspace, body }) {
        const { password, port = null } = parseBody(setPasswordSchema, body)
        await setPassword(deployment, passwords, workspace, { password, port })
        return { status: 204, audit: { details: { port, set: true } } }
      },
    },
    {
      method: 'DELETE',
      path: paths.workspacePassword,
      async run({ workspace, body }) {
        const { port = null } = parseBody(removePasswordSchema, body ?? {})
        await removePassword(deployment, workspace, port)
        return { status: 204, audit: { details: { port, set: false } } }
      },
    },
  ]
}
