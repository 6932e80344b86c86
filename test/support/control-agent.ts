/** A pretend agent: makes its host's desired set real at once, or says what the test tells it to. */
import type {
  AgentControl,
  Desired,
  DesiredEntry,
  Register,
  Report,
  Status,
} from '../../control/wire/index.ts'
import { agentKey } from './control-server.ts'

const call = (): { signal: AbortSignal } => ({ signal: AbortSignal.timeout(20_000) })

export interface PretendAgent {
  readonly hostId: string
  /** The desired set as it is. */
  desired(): Promise<Desired>
  /** Reports every desired workspace as made real, but for what `said` says. */
  obey(said?: readonly Partial<Status>[]): Promise<Desired>
  report(body: Partial<Report>): Promise<void>
}

const idOf = (entry: DesiredEntry): string => (entry.want === 'running' ? entry.spec.id : entry.id)

/** The status of an entry when the runtime did all that was asked. */
export function madeReal(entry: DesiredEntry): Status {
  const none = { id: idOf(entry), incarnation: '', reach: { kind: 'none' } as const, generation: 0 }
  if (entry.want === 'removed') return { ...none, state: entry.data === 'keep' ? 'retained' : 'absent' }
  if (entry.want === 'stopped') return { ...none, state: 'stopped', generation: 1 }
  return {
    id: entry.spec.id,
    state: 'running',
    generation: entry.spec.generation,
    incarnation: `${entry.spec.id}.${entry.spec.generation}`,
    reach: { kind: 'address', host: '10.99.0.2' },
    startedAtMs: 1,
  }
}

const healthy = { status: 'healthy', message: '', warnings: [] as string[] } as const

/** Registers, and gives the host's hand on the wire. */
export async function pretendAgent(
  control: AgentControl,
  now: number,
  over: Partial<Register> = {},
): Promise<PretendAgent> {
  const { hostId } = await control.register(agentKey().registration(now, over), call())
  const desired = async (): Promise<Desired> => {
    const set = await control.desired(0, call())
    if (set === null) throw new Error('there is no desired set')
    return set
  }
  const self: PretendAgent = {
    hostId,
    desired,
    report: async (body) =>
      control.report(
        {
          revision: (await desired()).revision,
          observed: true,
          health: { ...healthy, warnings: [] },
          workspaces: [],
          ...body,
        },
        call(),
      ),
    async obey(said = []) {
      const set = await desired()
      const workspaces = set.workspaces.map((entry) => ({
        ...madeReal(entry),
        ...said.find(({ id }) => id === idOf(entry)),
      }))
      await self.report({ revision: set.revision, workspaces })
      return set
    },
  }
  return self
}
