/** The agents' side of the wire, over HTTP. */
import { REPORT_MAX } from '../api/body.ts'
import type { Call, Route } from '../api/call.ts'
import { parseBody } from '../api/parse.ts'
import type { Deployment } from '../deployment.ts'
import type { AgentIdentity, Agents } from '../service/agents.ts'
import { orTold, PROGRAM_MS } from '../service/told-refusals.ts'
import { ApiError, paths, registerSchema, reportSchema } from '../wire/index.ts'

function bearer({ headers }: Pick<Call, 'headers'>): string {
  const found = /^Bearer (ps[ja]_[A-Za-z0-9_-]{20,100})$/.exec(String(headers['authorization'] ?? ''))
  if (found?.[1] === undefined)
    throw new ApiError('unauthenticated', 'An agent sends its credential as Bearer.')
  return found[1]
}

/** A revision below every other: the whole set at once, as an agent asks for it first. */
const BELOW_ALL = '-1'

function wholeNumber(text: string, path: string): number {
  if (!/^[0-9]{1,15}$/.test(text))
    throw new ApiError('invalid_body', undefined, { errors: [{ path, message: 'a whole number' }] })
  return Number(text)
}

export function agentRoutes(deployment: Deployment, agents: Agents): Route[] {
  const identify = (call: Pick<Call, 'headers'>): Promise<AgentIdentity> =>
    agents.identify(
      bearer(call),
      wholeNumber(String(call.headers['x-postern-epoch'] ?? ''), 'X-Postern-Epoch'),
    )
  return [
    {
      method: 'POST',
      path: paths.agentRegister,
      async run(call) {
        const joined = async () => {
          const joining = { kind: 'bearer', token: bearer(call) } as const
          return agents.register(parseBody(registerSchema, call.body), joining)
        }
        const body = await orTold(deployment, { action: 'host.join' }, call.origin, joined, PROGRAM_MS)
        return { status: 200, body }
      },
    },
    {
      method: 'GET',
      path: paths.agentDesired,
      async run(call) {
        const agent = await identify(call)
        const given = call.query.get('since') ?? BELOW_ALL
        const since = given === BELOW_ALL ? -1 : wholeNumber(given, 'since')
        const waitMs = wholeNumber(call.query.get('wait') ?? '25', 'wait') * 1000
        const desired = await agents.desired(agent, since, { signal: call.signal, waitMs })
        return desired === null ? { status: 204 } : { status: 200, body: desired }
      },
    },
    {
      method: 'POST',
      path: paths.agentReport,
      bodyMax: REPORT_MAX,
      async admit(headers) {
        await identify({ headers })
      },
      async run(call) {
        const agent = await identify(call)
        await agents.report(agent, parseBody(reportSchema, call.body))
        return { status: 204 }
      },
    },
  ]
}
