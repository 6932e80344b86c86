/** Time goes in: what has expired ends, hosts that fell silent are away, the trash is emptied, old changes are forgotten. */
import type { Deployment } from './deployment.ts'
import type { ProviderSignIn } from './oidc/index.ts'
import { endAccessRequests } from './service/access-requests.ts'
import type { Agents } from './service/agents.ts'
import { endGrants } from './service/grants.ts'
import { sweepGuests } from './service/guests.ts'
import type { HookSender } from './hooks/hook-sender.ts'
import type { SessionKeeper } from './service/sessions.ts'
import { keepSigningKeys } from './service/signing.ts'
import { pruneAudit, settleAudit } from './audit/audit-keeping.ts'
import { admitByTime } from './service/settle.ts'
import { emptyTrash } from './service/workspaces.ts'
import { pruneChanges } from './store/changes.ts'

/** Changes that are kept for readers and gateways that come back. */
const CHANGES_KEPT = 20_000

/** One round; safe to repeat, and to run on several servers at once. */
export async function sweep(
  deployment: Deployment,
  agents: Agents,
  sessions: SessionKeeper,
  providers: ProviderSignIn,
  hooks: HookSender,
): Promise<void> {
  await agents.sweep()
  await sessions.sweep()
  await providers.sweep()
  await endGrants(deployment)
  await sweepGuests(deployment)
  await endAccessRequests(deployment)
  await emptyTrash(deployment)
  await admitByTime(deployment)
  await deployment.audit.flush()
  await keepSigningKeys(deployment)
  await settleAudit(deployment)
  await pruneAudit(deployment)
  await hooks.sweep()
  await pruneChanges(deployment.feed.db, CHANGES_KEPT)
}
