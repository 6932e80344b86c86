/** The operator's settings for this plugin come in as anything; a whole, checked set leaves, or every problem at once. */
import { parseBlock } from './subnet.ts'

/** Settings of the Docker runtime, with every default filled in. */
export interface DockerConfig {
  /** Path of the engine's unix socket; default `/var/run/docker.sock`. Not used when `host` is set. */
  readonly socketPath: string
  /** `tcp://<loopback address>:<port>` of an engine on this machine; default none. */
  readonly host: string | undefined
  /** IPv4 block that the workspaces' networks are cut from; default `10.213.0.0/16`. */
  readonly subnetPool: string
  /** Prefix length of one workspace's network, 24 to 29; default 28 (4,096 networks in the default pool). */
  readonly subnetPrefix: number
  /** Size of `/tmp` where a spec doesn't say, in bytes; default 256 MiB. */
  readonly tmpBytes: number
  /** When images are pulled: `missing` (default), `always` before a container is made, or `never`. */
  readonly pull: 'missing' | 'always' | 'never'
  /** Publish declared ports on 127.0.0.1; `auto` (default): only where this machine can't reach the engine's bridges. */
  readonly publishOnLoopback: boolean | 'auto'
  /** `managed` (default): the plugin keeps the packet filter rules; `external`: the operator does. */
  readonly firewall: 'managed' | 'external'
  /**
   * Ids of NVIDIA cards (`GPU-…`) or paths of other devices (`/dev/dri/renderD128`) to give to workspaces; `auto`
   * (default): the cards that `nvidia-smi` lists, where the engine has NVIDIA's runtime.
   */
  readonly gpus: 'auto' | readonly string[]
}

const defaults: DockerConfig = {
  socketPath: '/var/run/docker.sock',
  host: undefined,
  subnetPool: '10.213.0.0/16',
  subnetPrefix: 28,
  tmpBytes: 256 * 1024 * 1024,
  pull: 'missing',
  publishOnLoopback: 'auto',
  firewall: 'managed',
  gpus: 'auto',
}

const LOOPBACK = /^tcp:\/\/(127\.\d{1,3}\.\d{1,3}\.\d{1,3}|localhost):\d{1,5}$/

/** One sentence on what each setting takes, and whether a value is that. */
const rules: Record<keyof DockerConfig, { readonly takes: string; isGood(value: unknown): boolean }> = {
  socketPath: { takes: 'an absolute path', isGood: (v) => typeof v === 'string' && v.startsWith('/') },
  host: {
    takes: 'tcp://<loopback address>:<port>, since the agent runs beside its engine',
    isGood: (v) => typeof v === 'string' && LOOPBACK.test(v),
  },
  subnetPool: {
    takes: 'an IPv4 block such as 10.213.0.0/16, of prefix length 8 to 24',
    isGood: (v) => typeof v === 'string' && isBetween(parseBlock(v)?.prefix, 8, 24),
  },
  subnetPrefix: { takes: 'a whole number from 24 to 29', isGood: (v) => isBetween(v, 24, 29) },
  tmpBytes: {
    takes: 'a whole number of bytes, 65536 or more',
    isGood: (v) => isBetween(v, 65_536, Number.MAX_SAFE_INTEGER),
  },
  pull: oneOf('missing', 'always', 'never'),
  publishOnLoopback: oneOf(true, false, 'auto'),
  firewall: oneOf('managed', 'external'),
  gpus: {
    takes: 'auto, or a list of ids such as GPU-… and paths in /dev, each once',
    isGood: (v) =>
      v === 'auto' ||
      (Array.isArray(v) &&
        new Set(v).size === v.length &&
        v.every(
          (id) =>
            typeof id === 'string' && /^(?:\/dev\/[\w./-]+|[\w][\w.:-]*)$/.test(id) && !id.includes('..'),
        )),
  },
}

/** Fills in the defaults. @throws Error listing every problem, unknown keys included. */
export function parseConfig(input: unknown): DockerConfig {
  if (input === undefined || input === null) return defaults
  if (typeof input !== 'object' || Array.isArray(input)) throw new Error('docker: the settings must be a map')
  const problems: string[] = []
  const given: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(input)) {
    const rule = Object.hasOwn(rules, key) ? rules[key as keyof DockerConfig] : undefined
    if (rule === undefined)
      problems.push(`docker.${key} is not a setting (there are ${Object.keys(rules).join(', ')})`)
    else if (value === undefined) continue
    else if (!rule.isGood(value)) problems.push(`docker.${key} must be ${rule.takes}`)
    else given[key] = value
  }
  if (problems.length > 0) throw new Error(problems.join('\n'))
  return { ...defaults, ...given }
}

function oneOf(...values: unknown[]): { takes: string; isGood(value: unknown): boolean } {
  return { takes: `one of ${values.map(String).join(', ')}`, isGood: (v) => values.includes(v) }
}

function isBetween(value: unknown, least: number, most: number): boolean {
  return Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most
}
