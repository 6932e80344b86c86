/** The operator's settings come in as anything; they leave parsed, or as one error that lists every problem. */

/** What an operator may set; every member has a default. */
export interface ProcessConfig {
  /** As root: the directory of the workspaces' homes; null: found by itself, see README. */
  readonly homesDirectory: string | null
  /** As root: the first and last uid that workspaces are given. */
  readonly firstUid: number
  readonly lastUid: number
  /** Size at which a workspace's log is cut, in bytes; the part before is kept once. */
  readonly logBytes: number
  /** The `PATH` that programs start with. */
  readonly path: string
}

const ROWS = {
  homes_directory: { key: 'homesDirectory', problem: absolutePathProblem },
  first_uid: { key: 'firstUid', problem: wholeNumber(1_000, 4_000_000_000) },
  last_uid: { key: 'lastUid', problem: wholeNumber(1_000, 4_000_000_000) },
  log_bytes: { key: 'logBytes', problem: wholeNumber(4_096, 1_073_741_824) },
  path: { key: 'path', problem: nonEmptyText },
} as const

/** Parses settings with keys in underscores. @throws Error that lists every problem. */
export function parseConfig(input: unknown, node: string): ProcessConfig {
  const given = input ?? {}
  if (typeof given !== 'object' || Array.isArray(given))
    throw new Error('The settings of the process runtime must be a mapping.')
  const problems: string[] = []
  const config: Record<string, unknown> = { ...defaults(node) }
  for (const [name, value] of Object.entries(given)) {
    const row = (ROWS as Record<string, (typeof ROWS)[keyof typeof ROWS] | undefined>)[name]
    const problem =
      row === undefined ? `is not known; known are ${Object.keys(ROWS).join(', ')}` : row.problem(value)
    if (problem !== undefined) problems.push(`${name} ${problem}`)
    else if (row !== undefined) config[row.key] = value
  }
  const parsed = config as unknown as ProcessConfig
  if (problems.length === 0 && parsed.firstUid > parsed.lastUid) problems.push('first_uid is above last_uid')
  if (problems.length > 0) throw new Error(`Settings of the process runtime: ${problems.join('; ')}.`)
  return parsed
}

function defaults(node: string): ProcessConfig {
  const nodeDirectory = node.slice(0, node.lastIndexOf('/')) || '/'
  const usual = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin']
  const path = usual.includes(nodeDirectory) ? usual : [...usual, nodeDirectory]
  return {
    homesDirectory: null,
    firstUid: 70_000,
    lastUid: 99_999,
    logBytes: 5 * 1024 * 1024,
    path: path.join(':'),
  }
}

function wholeNumber(least: number, most: number): (value: unknown) => string | undefined {
  return (value) =>
    Number.isSafeInteger(value) && Number(value) >= least && Number(value) <= most
      ? undefined
      : `must be a whole number from ${least} to ${most}`
}

function absolutePathProblem(value: unknown): string | undefined {
  return typeof value === 'string' && value.startsWith('/') ? undefined : 'must be an absolute path'
}

function nonEmptyText(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? undefined : 'must be text that is not empty'
}
