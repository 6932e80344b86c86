/** The part of the API's client that reads who did what, and keeps webhooks. */
import type { AuditRow } from '../../../control/wire/audit.ts'
import type { Delivery, HookView } from '../../../control/wire/hooks.ts'
import { paths } from '../../../control/wire/paths.ts'
import { type Call, fill, type Page } from './call.ts'

export const toldApi = (call: Call) => ({
  /** `query` as `GET /api/v1/audit` takes it. */
  audit: (query: string, signal?: AbortSignal) =>
    call<Page<AuditRow>>('GET', `${paths.audit}?${query}`, undefined, signal),
  hooks: (signal?: AbortSignal) => call<Page<HookView>>('GET', paths.hooks, undefined, signal),
  createHook: (given: { name: string; url: string; events: string[] }) =>
    call<HookView & { secret: string }>('POST', paths.hooks, given),
  enableHook: (id: string, enabled: boolean) => call<HookView>('PATCH', fill(paths.hook, id), { enabled }),
  deleteHook: (id: string) => call<void>('DELETE', fill(paths.hook, id)),
  deliveries: (id: string, query: string, signal?: AbortSignal) =>
    call<Page<Delivery>>('GET', `${fill(paths.hookDeliveries, id)}?${query}`, undefined, signal),
  redeliver: (id: string, delivery: string) =>
    call<void>('POST', fill(paths.hookRedeliver, id).replace(':delivery', encodeURIComponent(delivery))),
})
