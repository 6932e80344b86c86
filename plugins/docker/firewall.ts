/** Keeps workspaces from the host, from each other and from cloud metadata by packet filter rules on all our bridges. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { Logger } from '@postern/plugin'
import { BRIDGE_PREFIX } from './labels.ts'

/** One rule; `comment` is how it is recognised. */
export interface Rule {
  readonly chain: 'INPUT' | 'DOCKER-USER'
  readonly comment: string
  readonly match: readonly string[]
}

const FROM = ['-i', `${BRIDGE_PREFIX}+`] as const
const LINK_LOCAL = [...FROM, '-d', '169.254.0.0/16'] as const

/** What is dropped. DNS to link-local addresses stays open: some clouds have their resolver there. */
export const rules: readonly Rule[] = [
  {
    chain: 'INPUT',
    comment: 'postern-host',
    match: [...FROM, '-m', 'conntrack', '!', '--ctstate', 'RELATED,ESTABLISHED'],
  },
  { chain: 'DOCKER-USER', comment: 'postern-neighbours', match: [...FROM, '-o', `${BRIDGE_PREFIX}+`] },
  {
    chain: 'DOCKER-USER',
    comment: 'postern-metadata-tcp',
    match: [...LINK_LOCAL, '-p', 'tcp', '!', '--dport', '53'],
  },
  {
    chain: 'DOCKER-USER',
    comment: 'postern-metadata-udp',
    match: [...LINK_LOCAL, '-p', 'udp', '!', '--dport', '53'],
  },
]

/** The arguments of `iptables` that put a rule before all others of its chain. */
export function insertion({ chain, comment, match }: Rule): string[] {
  return ['-w', '5', '-I', chain, '1', ...match, '-m', 'comment', '--comment', comment, '-j', 'DROP']
}

/** The rules that the text of `iptables -S` doesn't show. Pure. */
export function missingRules(shown: string): Rule[] {
  const words = shown.split('\n').map((line) => line.replaceAll('"', '').split(' '))
  return rules.filter(
    ({ chain, comment }) =>
      !words.some((line) => line[0] === '-A' && line[1] === chain && line.includes(comment)),
  )
}

/** The standing of the rules on this machine. */
export interface Firewall {
  /** Puts in what is missing; looks at most every two seconds. Never fails: what can't be done becomes a warning. */
  ensure(): Promise<void>
  /** Forgets the last look: the engine, or somebody, may have changed the rules. */
  doubt(): void
  /** What isn't protected, why, and how to mend it; empty when all is well. */
  warnings(): readonly string[]
}

/** How long a look is good for. */
const FRESH_MS = 2_000

const run = promisify(execFile)
// Root's own path may lack /usr/sbin when it was reached by `su`.
const env = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`, LC_ALL: 'C' }
const iptables = async (args: readonly string[]) => (await run('iptables', [...args], { env })).stdout

/** A firewall that the operator looks after, or that this machine doesn't need. */
export const externalFirewall: Firewall = {
  ensure: () => Promise.resolve(),
  doubt: () => undefined,
  warnings: () => [],
}

/** A firewall kept by us; where we may not, it says so. `now` in milliseconds. */
export function managedFirewall(
  log: Logger,
  now: () => number,
  isRoot: boolean,
  filter = iptables,
): Firewall {
  let problem = isRoot ? '' : 'Postern does not run as root'
  let lookedAtMs = -Infinity
  let looking: Promise<void> | undefined
  const look = async () => {
    try {
      const missing = missingRules(await filter(['-w', '5', '-S']))
      for (const rule of missing) await filter(insertion(rule))
      if (missing.length > 0)
        log.info('packet filter rules put in', { rules: missing.map((rule) => rule.comment) })
      problem = ''
      lookedAtMs = now()
    } catch (err) {
      const said = err instanceof Error ? (err.message.trim().split('\n').at(-1) ?? '') : String(err)
      if (problem === '') log.warn('packet filter rules could not be put in', { err })
      problem = `iptables: ${said}`
    }
  }
  return {
    async ensure() {
      if (!isRoot || now() - lookedAtMs < FRESH_MS) return
      looking ??= look().finally(() => (looking = undefined))
      await looking
    },
    doubt: () => void (lookedAtMs = -Infinity),
    warnings: () => (problem === '' ? [] : [warning(problem)]),
  }
}

function warning(problem: string): string {
  const commands = rules.map((rule) => `iptables ${insertion(rule).slice(2).join(' ')}`).join('; ')
  return (
    `Workspaces are not kept from this host's own ports, from each other by a rule of ours, or from cloud metadata (${problem}). ` +
    `Run Postern as root, or put the rules in yourself as root and set firewall: external. The rules: ${commands}`
  )
}
