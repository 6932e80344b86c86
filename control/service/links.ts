/** Links to workspaces: made and revoked by who may share, used by whoever has them. */
import type { Deployment } from '../deployment.ts'
import type { Link } from '../store/links.ts'
import { deleteLink, findLink, insertLink, listLinks, useLink } from '../store/links.ts'
import { readSettings } from '../store/settings.ts'
import type { Workspace } from '../store/workspaces.ts'
import { findWorkspace } from '../store/workspaces.ts'
import { budgetsOf, spend } from '../credentials/tries.ts'
import { hashToken, newId, newToken } from '../credentials/tokens.ts'
import { workspaceUrls } from '../views/views.ts'
import { ApiError, cappedVisibility, networkOf, paths } from '../wire/index.ts'
import type { CreateLink, EdgeControl, NewSession, Origin, Visibility } from '../wire/index.ts'
import type { AuditActor, AuditEntry } from '../audit/audit.ts'
import { beginGuest, endGuestsOf } from './guests.ts'
import { orTold } from './told-refusals.ts'

const LINKS_MAX = 100
/** Guessing 256 bits is hopeless; this only keeps who tries from keeping the store busy. */
const perAddress = { burst: 30, refillMs: 4000 }

const isLinkable = (visibility: Visibility): boolean => visibility === 'link' || visibility === 'public'

/**
 * Where a link leads: the port asked for, the default app where that is open to links, or the first port that is.
 * @throws ApiError not_linkable
 */
async function startOf(
  { feed, options }: Deployment,
  { name, resolved }: Workspace,
  asked: number | undefined,
): Promise<string> {
  const { maxVisibility } = await readSettings(feed.db)
  const open = resolved.ports
    .filter(({ visibility }) => isLinkable(cappedVisibility(visibility, maxVisibility)))
    .map(({ port }) => port)
    .filter((port) => asked === undefined || port === asked)
  const [first] = open
  if (first === undefined)
    throw new ApiError('not_linkable', asked === undefined ? undefined : `Port ${asked} isn’t open to links.`)
  const urls = workspaceUrls(name, resolved.ports, [], options)
  const { defaultPort } = resolved
  if (asked === undefined && defaultPort !== null && open.includes(defaultPort)) return urls.default
  return urls.ports[String(first)] ?? urls.default
}

/**
 * Makes a link. The secret is told this once, behind the `#` of the URL: that part goes to no server, so that it is in
 * nobody's log and no Referer, and what only fetches the address, as a preview does, uses nothing up.
 * @throws ApiError not_linkable, limit_exceeded, invalid_body
 */
export async function makeLink(
  deployment: Deployment,
  workspace: Workspace,
  userId: string,
  asked: CreateLink,
): Promise<{ link: Link; url: string }> {
  const { feed, now } = deployment
  const url = await startOf(deployment, workspace, asked.port)
  const expiresAtMs = asked.expiresAt === undefined ? null : Date.parse(asked.expiresAt)
  if (expiresAtMs !== null && expiresAtMs <= now())
    throw new ApiError('invalid_body', undefined, {
      errors: [{ path: 'expiresAt', message: 'is over already' }],
    })
  const secret = newToken('psl_')
  const link: Link = {
    id: newId(),
    hash: hashToken(secret),
    workspaceId: workspace.id,
    port: asked.port ?? null,
    name: asked.name ?? '',
    createdBy: userId,
    createdAtMs: now(),
    expiresAtMs,
    maxUses: asked.maxUses ?? null,
    uses: 0,
    lastUsedAtMs: null,
  }
  await feed.write(async (w) => {
    if ((await listLinks(w.db, { workspaceId: workspace.id })).length >= LINKS_MAX)
      throw new ApiError('limit_exceeded', `At most ${LINKS_MAX} links; revoke one first.`)
    await insertLink(w.db, link)
  })
  return { link, url: `${url}${paths.link.slice(1)}#${secret}` }
}

/** Revokes a link: whoever came by it is out at once. @throws ApiError not_found */
export async function revokeLink({ feed }: Deployment, workspaceId: string, id: string): Promise<Link> {
  return feed.write(async (w) => {
    const link = await findLink(w.db, { id, workspaceId })
    if (link === null) throw new ApiError('not_found')
    await endGuestsOf(w, { linkId: id })
    await deleteLink(w.db, id)
    return link
  })
}

/** Who uses a link, as the audit names them. */
const guest = (link: Link): AuditActor => ({
  kind: 'guest',
  id: '',
  name: link.name,
  via: { kind: 'link', id: link.id },
})

async function redeem(
  deployment: Deployment,
  link: Link,
  workspace: Workspace,
  label: string,
  origin: Origin,
): Promise<NewSession> {
  const { feed, audit, now } = deployment
  const entry: AuditEntry = {
    action: 'link.use',
    actor: guest(link),
    object: { id: link.id, name: link.name },
    workspace,
    origin,
  }
  return orTold(deployment, entry, origin, () =>
    feed.write(async (w) => {
      if (!(await useLink(w.db, link.id, now()))) {
        const still = await findLink(w.db, { id: link.id })
        if (still === null) throw new ApiError('link_unknown')
        const isPast = still.expiresAtMs !== null && still.expiresAtMs <= now()
        throw new ApiError('link_over', isPast ? 'It has expired.' : 'It was used as often as it may be.')
      }
      await audit.record(entry, w.db)
      return beginGuest(w, { workspaceId: workspace.id, label }, link, origin, now())
    }),
  )
}

/** Redeems links. Only wrong ones count against an address: a right one is never refused for a neighbour's tries. */
export function linkDoor(deployment: Deployment): EdgeControl['redeemLink'] {
  const { feed, now } = deployment
  const addresses = budgetsOf(perAddress, now)
  return async ({ secret, workspaceId, label }, origin) => {
    const link = await findLink(feed.db, { hash: hashToken(secret) })
    const workspace = link === null ? null : await findWorkspace(feed.db, { id: link.workspaceId })
    if (link !== null && workspace?.id === workspaceId && workspace.want !== 'removed')
      return redeem(deployment, link, workspace, label, origin)
    return orTold(deployment, { action: 'link.use' }, origin, async () => {
      spend([[addresses, networkOf(origin.ip)]])
      throw new ApiError('link_unknown')
    })
  }
}
