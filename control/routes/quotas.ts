/** Quotas of users and groups: administrators set them, auditors see them. */
import type { Call, Route } from '../api/call.ts'
import type { Deployment } from '../deployment.ts'
import { parseBody } from '../api/parse.ts'
import type { Account } from '../placement/quotas.ts'
import { quotaView, setQuota } from '../service/quotas.ts'
import { ApiError, paths, putQuotaSchema, quotaKinds } from '../wire/index.ts'
import type { QuotaView } from '../wire/index.ts'

/** @throws ApiError not_found for another kind than user and group */
function accountOf({ params }: Call): Account {
  const kind = quotaKinds.find((each) => each === params['kind'])
  if (kind === undefined) throw new ApiError('not_found')
  return { kind, id: params['id'] ?? '' }
}

const told = ({ kind, id, name, quota }: QuotaView) => ({
  object: { kind, id, name },
  details: { ...quota },
})

export function quotaRoutes(deployment: Deployment): Route[] {
  const { db } = deployment.feed
  return [
    {
      method: 'GET',
      path: paths.quota,
      run: async (call) => ({ status: 200, body: await quotaView(deployment, db, accountOf(call)) }),
    },
    {
      method: 'PUT',
      path: paths.quota,
      async run(call) {
        const view = await setQuota(deployment, accountOf(call), parseBody(putQuotaSchema, call.body))
        return { status: 200, body: view, audit: told(view) }
      },
    },
    {
      method: 'DELETE',
      path: paths.quota,
      async run(call) {
        return { status: 204, audit: told(await setQuota(deployment, accountOf(call), null)) }
      },
    },
  ]
}
