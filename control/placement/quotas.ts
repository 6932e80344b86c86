/**
 * Who holds what and who may have what go in; whether one more fits, or the sentences why not, come out. Pure.
 *
 * An account pays for a workspace: the group that owns it, where that group has a quota; else the person who answers for
 * it. What an account may have is said, limit by limit, by its own quota; for a user, else by the most generous of their
 * groups' quotas; else by the deployment's options. So a group's quota says two things: what its own workspaces may have
 * together, and what each member may have by themselves.
 */
import { heldDisk } from '../lifecycle/disk.ts'
import type { ControlLimits } from '../seams.ts'
import type { FieldProblem, Quota, QuotaKind, Standing } from '../wire/index.ts'

export interface Account {
  readonly kind: QuotaKind
  readonly id: string
}

/** What is in use, or asked for beyond it; CPU in cores. CPU and memory are of what runs, disk of what is there. */
export interface Usage {
  readonly workspaces: number
  readonly running: number
  readonly cpu: number
  readonly memoryBytes: number
  readonly diskBytes: number
}

export const NOTHING: Usage = { workspaces: 0, running: 0, cpu: 0, memoryBytes: 0, diskBytes: 0 }

/** What the workspaces of one owner in one group, or in none, use. */
export interface Held extends Usage {
  readonly ownerId: string
  readonly ownerGroupId: string | null
}

/** What a ledger is made of; `memberships` at least of groups with a quota. */
export interface Books {
  readonly held: readonly Held[]
  readonly quotas: readonly (Account & Quota)[]
  readonly memberships: readonly { readonly userId: string; readonly groupId: string }[]
  /** Whether a host can hold a limit: one that none can is no quota either. */
  readonly holds: { readonly cpu: boolean; readonly memory: boolean; readonly disk: boolean }
}

interface Owned {
  readonly ownerId: string
  readonly ownerGroupId: string | null
}

/** What a workspace takes of its account. Its data, and so its disk, is there also while it is stopped and in the trash. */
export function usageOf(workspace: {
  readonly want: string
  readonly admitted: boolean
  readonly resolved: { readonly cpu: number; readonly memoryBytes: number; readonly diskBytes: number | null }
  readonly status?: { readonly diskBytes?: number | undefined } | null
}): Usage {
  const { admitted, resolved } = workspace
  return {
    workspaces: workspace.want === 'removed' ? 0 : 1,
    running: admitted ? 1 : 0,
    cpu: admitted ? resolved.cpu : 0,
    memoryBytes: admitted ? resolved.memoryBytes : 0,
    diskBytes: heldDisk(workspace) ?? 0,
  }
}

/** What a place for it takes: all but what it has without one. */
export function placeOf({ resolved }: Pick<Parameters<typeof usageOf>[0], 'resolved'>): Usage {
  return { ...usageOf({ want: 'running', admitted: true, resolved }), workspaces: 0, diskBytes: 0 }
}

const sum = (a: Usage, b: Usage): Usage => ({
  workspaces: a.workspaces + b.workspaces,
  running: a.running + b.running,
  // Sums of tenths must not be a hair beyond their bound.
  cpu: Math.round((a.cpu + b.cpu) * 1000) / 1000,
  memoryBytes: a.memoryBytes + b.memoryBytes,
  diskBytes: a.diskBytes + b.diskBytes,
})

const most = (values: readonly (number | null)[]): number | null => {
  const said = values.filter((value) => value !== null)
  return said.length === 0 ? null : Math.max(...said)
}

const GIB = 1024 ** 3
const gib = (bytes: number): string => `${Math.round((bytes / GIB) * 100) / 100} GiB`

type Limit = keyof Quota
const usedFor = {
  maxWorkspaces: 'workspaces',
  maxRunning: 'running',
  cpu: 'cpu',
  memoryBytes: 'memoryBytes',
  diskBytes: 'diskBytes',
} as const

const sentences: Readonly<Record<Limit, (max: number, used: number, more: number) => string>> = {
  maxWorkspaces: (max, used) => `The quota is ${max} workspaces, and ${used} are there; delete one first.`,
  maxRunning: (max, used) => `The quota is ${max} running at once, and ${used} are; stop one first.`,
  cpu: (max, used, more) =>
    `The quota is ${max} cores for all that run, ${used} of them are taken; this takes ${more} more.`,
  memoryBytes: (max, used, more) =>
    `The quota is ${gib(max)} of memory for all that run, ${gib(used)} of it is taken; this takes ${gib(more)} more.`,
  diskBytes: (max, used, more) =>
    `The quota is ${gib(max)} of disk, ${gib(used)} of it is taken, also by what is stopped or in the trash; ` +
    `this takes ${gib(more)} more.`,
}
const limits = Object.keys(usedFor) as Limit[]

/** Who uses what and may use what, at one moment; what is given out meanwhile is added. */
export class Ledger {
  /** Places given in the whole deployment. */
  running = 0
  readonly #bounds: ControlLimits
  readonly #holds: Books['holds']
  readonly #quotas: ReadonlyMap<string, Quota>
  readonly #groupsOf = new Map<string, string[]>()
  readonly #used = new Map<string, Usage>()

  constructor(bounds: ControlLimits, { held, quotas, memberships, holds }: Books) {
    this.#bounds = bounds
    this.#holds = holds
    this.#quotas = new Map(quotas.map((quota) => [`${quota.kind} ${quota.id}`, quota]))
    for (const { userId, groupId } of memberships)
      this.#groupsOf.set(userId, [...(this.#groupsOf.get(userId) ?? []), groupId])
    for (const each of held) this.add(each, each)
  }

  /** Who pays for a workspace. */
  accountOf({ ownerId, ownerGroupId }: Owned): Account {
    return ownerGroupId !== null && this.#quotas.has(`group ${ownerGroupId}`)
      ? { kind: 'group', id: ownerGroupId }
      : { kind: 'user', id: ownerId }
  }

  used({ kind, id }: Account): Usage {
    return this.#used.get(`${kind} ${id}`) ?? NOTHING
  }

  /** The quota that was set for an account itself; null: none. */
  set({ kind, id }: Account): Quota | null {
    return this.#quotas.get(`${kind} ${id}`) ?? null
  }

  /** What counts for an account; null: no bound. */
  quota(account: Account): Quota {
    const own = this.set(account)
    const groups =
      account.kind === 'group'
        ? []
        : (this.#groupsOf.get(account.id) ?? []).flatMap((id) => this.set({ kind: 'group', id }) ?? [])
    const said = (limit: Limit): number | null => own?.[limit] ?? most(groups.map((group) => group[limit]))
    return {
      maxWorkspaces: said('maxWorkspaces') ?? this.#bounds.maxWorkspacesPerUser,
      maxRunning: said('maxRunning') ?? this.#bounds.maxRunningPerUser,
      cpu: this.#holds.cpu ? said('cpu') : null,
      memoryBytes: this.#holds.memory ? said('memoryBytes') : null,
      diskBytes: this.#holds.disk ? said('diskBytes') : null,
    }
  }

  /** Why an account can't have more; empty: it can. Only what is asked for is looked at, so that less is never refused. */
  lacks(account: Account, more: Usage): FieldProblem[] {
    const [quota, used] = [this.quota(account), this.used(account)]
    const whole = sum(used, more)
    return limits.flatMap((limit) => {
      const max = quota[limit]
      const name = usedFor[limit]
      if (max === null || more[name] <= 0 || whole[name] <= max) return []
      const path = limit === 'maxWorkspaces' || limit === 'maxRunning' ? '' : limit
      return [{ path, message: sentences[limit](max, used[name], more[name]) }]
    })
  }

  /** True when the deployment has a place for one more. */
  get hasPlace(): boolean {
    return this.running < this.#bounds.maxRunning
  }

  /** Gives out. */
  add(owned: Owned, more: Usage): void {
    const { kind, id } = this.accountOf(owned)
    this.#used.set(`${kind} ${id}`, sum(this.used({ kind, id }), more))
    this.running += more.running
  }

  /** As people see it. */
  standing(account: Account): Standing {
    const [quota, used] = [this.quota(account), this.used(account)]
    return {
      workspaces: { used: used.workspaces, max: quota.maxWorkspaces },
      running: { used: used.running, max: quota.maxRunning },
      ...(this.#holds.cpu ? { cpu: { used: used.cpu, max: quota.cpu } } : {}),
      ...(this.#holds.memory ? { memoryBytes: { used: used.memoryBytes, max: quota.memoryBytes } } : {}),
      ...(this.#holds.disk ? { diskBytes: { used: used.diskBytes, max: quota.diskBytes } } : {}),
    }
  }

  /** Where more is in use than is allowed, a sentence each. */
  over(account: Account): string[] {
    const { workspaces, running, cpu, memoryBytes, diskBytes } = this.standing(account)
    const isOver = (row: Standing['workspaces'] | undefined): row is { used: number; max: number } =>
      row !== undefined && row.max !== null && row.used > row.max
    return [
      ...(isOver(workspaces)
        ? [`${workspaces.used} workspaces are there, ${workspaces.max} are allowed: all stay, no new ones.`]
        : []),
      ...(isOver(running)
        ? [`${running.used} run, ${running.max} may: they go on, and no more start until fewer run.`]
        : []),
      ...(isOver(cpu) ? [`${cpu.used} cores are taken, ${cpu.max} may be: what runs goes on.`] : []),
      ...(isOver(memoryBytes)
        ? [`${gib(memoryBytes.used)} of memory are taken, ${gib(memoryBytes.max)} may be: what runs goes on.`]
        : []),
      ...(isOver(diskBytes)
        ? [
            `${gib(diskBytes.used)} of disk are taken, ${gib(diskBytes.max)} may be: all stays, no more is given.`,
          ]
        : []),
    ]
  }
}
