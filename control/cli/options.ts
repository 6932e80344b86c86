/** Every option, once: flags, environment, file keys, help, types and the README table are made of these rows. */
import { availableParallelism, homedir, hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  readAddressOrOff,
  readAddressesOrOff,
  readBlocks,
  readDatabaseUrl,
  readDomain,
  readDuration,
  readMapping,
  readOneOf,
  readOrigin,
  readPath,
  readPathDashOrOff,
  readPathOrDash,
  readText,
  readWorkers,
} from './option-values.ts'
import { auditOptions } from './audit-options.ts'
import { lawOptions } from './law-options.ts'
import { logOptions } from './log-options.ts'
import { oidcOptions } from './oidc-options.ts'
import { capOptions } from './cap-options.ts'
import { tlsOptions } from './tls-options.ts'
import { tracingOptions } from './tracing.ts'
import { workspaceOptions } from './workspace-options.ts'

/** A row in yargs' own shape (`alias`, `array`, `describe`, `defaultDescription`), and what it means to us. */
export interface OptionRow<T = unknown> {
  readonly describe: string
  readonly alias?: string
  readonly array?: boolean
  /** As a flag it needs no value. */
  readonly bare?: boolean
  readonly defaultDescription?: string
  /** Turns what was written into a value. @throws Error that says what is wrong, without the option's name. */
  readonly read: (raw: unknown) => T
  /** The default, as a person would write it; absent: the value is null. */
  readonly initial?: string | (() => string)
  /** Where it may be written: `any` (the default), or not as a flag, or only in the file. */
  readonly from?: 'any' | 'env-or-file' | 'file'
}
export type OptionTable = Readonly<Record<string, OptionRow>>

type Camel<S extends string> = S extends `${infer A}-${infer B}` ? `${A}${Capitalize<Camel<B>>}` : S
type ValueOf<R> = R extends { read: (raw: unknown) => infer T }
  ? R extends { initial: unknown }
    ? T
    : T | null
  : never
/** The typed values of a table: `public-url` becomes `publicUrl`. */
export type Values<T extends OptionTable> = {
  readonly [K in keyof T & string as Camel<K>]: ValueOf<T[K]>
}

const stateHome = () => process.env.XDG_STATE_HOME || join(homedir(), '.local', 'state')

const runtimeOptions = {
  runtime: {
    describe: 'What runs workspaces: docker, process, or the name or path of a plugin package',
    defaultDescription: 'docker where its socket answers, else process',
    read: readText,
  },
  'runtime-config': {
    describe: 'Settings of the runtime plugin, as its own documentation says',
    from: 'file',
    read: readMapping,
  },
  ...lawOptions,
} as const satisfies OptionTable

/** Of `postern server`. */
export const serverOptions = {
  listen: {
    describe: 'Address to serve on, host:port; repeat it or separate with commas; off: none',
    array: true,
    initial: '127.0.0.1:8090,[::1]:8090',
    read: readAddressesOrOff,
  },
  ...tlsOptions,
  ...capOptions,
  ...tracingOptions,
  'authz-listen': {
    describe: 'Address of the forward-auth endpoints, host:port or the path of a unix socket; off: none',
    initial: '127.0.0.1:8091',
    read: readAddressOrOff,
  },
  'public-url': {
    describe: 'Origin of the dashboard as browsers see it',
    defaultDescription: 'http://localhost:<port of the first --listen>',
    read: readOrigin,
  },
  'base-domain': {
    describe: 'Workspaces live under this domain, as <workspace>-<port>.<base>',
    initial: 'ws.localhost',
    read: readDomain,
  },
  'path-url': {
    describe: 'Origin of its own where owners reach their workspaces by path, /dev/<workspace>/ide/',
    defaultDescription: 'off',
    read: readOrigin,
  },
  'trusted-proxies': {
    describe: 'CIDR blocks of the proxies in front, whose forwarded headers are believed',
    array: true,
    defaultDescription: 'nobody',
    read: readBlocks,
  },
  'forwarded-header': {
    describe: 'Tell programs the way of a request by Forwarded (RFC 7239) too: on or off',
    initial: 'off',
    read: readOneOf('on', 'off'),
  },
  'state-directory': {
    describe: 'Folder of the database, keys and runtime state (0700)',
    initial: () => join(stateHome(), 'postern'),
    defaultDescription: '$XDG_STATE_HOME/postern',
    read: readPath,
  },
  'database-url': {
    describe: 'PostgreSQL instead of SQLite, postgres://…; better by environment or file: ps shows flags',
    defaultDescription: 'SQLite in the state directory',
    read: readDatabaseUrl,
  },
  'templates-directory': {
    describe: 'Folder of your own templates, added to the built-in ones',
    defaultDescription: 'none',
    read: readPath,
  },
  ...oidcOptions,
  ...workspaceOptions,
  ...auditOptions,
  'drain-period': {
    describe: 'How long open requests may go on when Postern is stopped',
    initial: '5s',
    read: readDuration,
  },
  ...logOptions,
  'log-directory': {
    describe: 'Folder of log files (JSON lines)',
    defaultDescription: '-: JSON lines on standard output, or plain lines on a terminal',
    read: readPathOrDash,
  },
  'access-log': {
    describe: 'A JSON line for each request: path of a file, - for standard output, or off',
    defaultDescription: 'access.log in the log directory, else in the state directory',
    read: readPathDashOrOff,
  },
} as const satisfies OptionTable

/** Of `postern standalone`, the default command. */
export const standaloneOptions = { ...serverOptions, ...runtimeOptions } as const satisfies OptionTable

const serverUrl = {
  describe: 'Where the server is',
  alias: 'S',
  initial: 'http://localhost:8090',
  read: readOrigin,
} as const satisfies OptionRow

const joinToken = {
  describe: 'That token itself, where a file is unhandy',
  from: 'env-or-file',
  defaultDescription: 'none',
  read: readText,
} as const satisfies OptionRow

/** Of `postern agent`. */
export const agentOptions = {
  'server-url': serverUrl,
  'deployment-name': {
    describe: 'Name shown for this host in the server',
    alias: 'D',
    initial: () => hostname(),
    defaultDescription: 'the host name',
    read: readText,
  },
  'build-directory': {
    describe: 'Folder for temporary files, such as those of image builds',
    alias: 'b',
    initial: () => tmpdir(),
    defaultDescription: 'the system’s, such as /tmp',
    read: readPath,
  },
  'join-token-file': {
    describe: 'File with the token that an administrator made for this host; needed once',
    read: readPath,
    defaultDescription: 'none',
  },
  'join-token': joinToken,
  'state-directory': {
    describe: 'Folder of the agent’s key and runtime state (0700)',
    initial: () => join(stateHome(), 'postern-agent'),
    defaultDescription: '$XDG_STATE_HOME/postern-agent',
    read: readPath,
  },
  ...runtimeOptions,
  ...logOptions,
  'log-directory': {
    describe: 'Folder of log files (JSON lines); -: standard output',
    defaultDescription: '<state directory>/log',
    read: readPathOrDash,
  },
} as const satisfies OptionTable

/** Of `postern gateway`. */
export const gatewayOptions = {
  'server-url': serverUrl,
  'gateway-name': {
    describe: 'Name shown for this gateway in the server',
    initial: () => hostname(),
    defaultDescription: 'the host name',
    read: readText,
  },
  listen: { ...serverOptions.listen, initial: '127.0.0.1:8092,[::1]:8092' },
  ...tlsOptions,
  ...capOptions,
  ...tracingOptions,
  'authz-listen': { ...serverOptions['authz-listen'], initial: '127.0.0.1:8093' },
  'trusted-proxies': serverOptions['trusted-proxies'],
  'forwarded-header': serverOptions['forwarded-header'],
  workers: {
    describe: 'Processes that share the work',
    initial: () => String(availableParallelism()),
    defaultDescription: 'the cores of this machine',
    read: readWorkers,
  },
  'stale-for': {
    describe: 'How long it goes on by what it knows while the server is away; then it refuses all',
    initial: '5m',
    read: readDuration,
  },
  'join-token-file': {
    describe: 'File with the token that an administrator made for this gateway; needed once',
    read: readPath,
    defaultDescription: 'none',
  },
  'join-token': joinToken,
  'state-directory': {
    describe: 'Folder of the gateway’s credential (0700)',
    initial: () => join(stateHome(), 'postern-gateway'),
    defaultDescription: '$XDG_STATE_HOME/postern-gateway',
    read: readPath,
  },
  'drain-period': serverOptions['drain-period'],
  ...logOptions,
  'log-directory': serverOptions['log-directory'],
  'access-log': serverOptions['access-log'],
} as const satisfies OptionTable

export type ServerConfig = Values<typeof serverOptions>
export type StandaloneConfig = Values<typeof standaloneOptions>
export type AgentConfig = Values<typeof agentOptions>
export type GatewayConfig = Values<typeof gatewayOptions>

/** The tables by command, for help, the file's keys and the README. */
export const optionTables = {
  standalone: standaloneOptions,
  server: serverOptions,
  agent: agentOptions,
  gateway: gatewayOptions,
} as const
export type CommandName = keyof typeof optionTables
