/** Webhooks, for administrators: what they are told of, and what became of each message. */
import type { Route } from '../api/call.ts'
import type { Deployment } from '../deployment.ts'
import { numberedPageOf, paged } from '../api/paging.ts'
import { parseBody, parseQuery } from '../api/parse.ts'
import { changeHook, createHook, redeliverTo, removeHook } from '../hooks/hooks.ts'
import { countDeliveries, listDeliveries } from '../store/deliveries.ts'
import { findHook, hookView, listHooks } from '../store/hooks.ts'
import type { Hook } from '../store/hooks.ts'
import { ApiError, createHookSchema, deliveriesQuerySchema, patchHookSchema, paths } from '../wire/index.ts'
import type { HookView } from '../wire/index.ts'

const NONE = { waiting: 0, delivered: 0, dead: 0 }

function deliveryRoutes(deployment: Deployment): Route[] {
  const { feed } = deployment
  return [
    {
      method: 'GET',
      path: paths.hookDeliveries,
      async run({ params, query }) {
        const hook = await findHook(feed.db, params['id'] ?? '')
        if (hook === null) throw new ApiError('not_found')
        const page = numberedPageOf(query)
        const { before } = page
        const { state } = parseQuery(deliveriesQuerySchema, query)
        const rows = await listDeliveries(feed.db, hook.id, { state, before, limit: page.limit + 1 })
        const body = paged(
          rows,
          page,
          ({ seq }) => String(seq),
          (shown) => shown.map(({ delivery }) => delivery),
        )
        return { status: 200, body }
      },
    },
    {
      method: 'POST',
      path: paths.hookRedeliver,
      async run({ params }) {
        const delivery = params['delivery'] ?? ''
        const { id, name } = await redeliverTo(deployment, params['id'] ?? '', delivery)
        return { status: 202, audit: { object: { id, name }, details: { delivery } } }
      },
    },
  ]
}

export function hookRoutes(deployment: Deployment): Route[] {
  const { feed } = deployment
  const shown = async (hook: Hook): Promise<HookView> =>
    hookView(hook, (await countDeliveries(feed.db)).get(hook.id) ?? NONE)
  return [
    {
      method: 'GET',
      path: paths.hooks,
      async run() {
        const counts = await countDeliveries(feed.db)
        const items = (await listHooks(feed.db)).map((hook) => hookView(hook, counts.get(hook.id) ?? NONE))
        return { status: 200, body: { items } }
      },
    },
    {
      method: 'POST',
      path: paths.hooks,
      async run({ body }) {
        const { hook, secret } = await createHook(deployment, parseBody(createHookSchema, body))
        return { status: 201, body: { ...hookView(hook, NONE), secret } }
      },
    },
    {
      method: 'PATCH',
      path: paths.hook,
      async run({ params, body }) {
        const hook = await changeHook(deployment, params['id'] ?? '', parseBody(patchHookSchema, body))
        return { status: 200, body: await shown(hook) }
      },
    },
    {
      method: 'DELETE',
      path: paths.hook,
      async run({ params }) {
        const { id, name } = await removeHook(deployment, params['id'] ?? '')
        return { status: 204, audit: { object: { id, name } } }
      },
    },
    ...deliveryRoutes(deployment),
  ]
}
