/** What the fake server of the dashboard's tests holds at its start: views of the wire, made up. */
import { filledPort } from '../../control/wire/index.ts'
import type {
  HostView,
  Limits,
  PatchWorkspace,
  SessionView,
  SpecView,
  TemplateView,
  UserView,
  WorkspaceView,
} from '../../control/wire/index.ts'

const GIB = 1024 ** 3

/** A person, not disabled. */
export function fakeUser(username: string, role: UserView['role']): UserView {
  return { id: `u-${username}`, username, email: null, role, disabled: false, createdAtMs: Date.now() - 1e9 }
}

/** A connected host without warnings. */
export function fakeHost(id: string, name: string): HostView {
  return {
    id,
    name,
    runtime: 'docker',
    connected: true,
    lastSeenAtMs: Date.now(),
    health: { status: 'healthy', message: 'Docker Engine 20.10', warnings: [] },
    workspaces: 3,
    restricted: false,
    gives: { gpus: 0, mounts: [], hostNetwork: false },
  }
}

/** Limits of a Docker host that enforces all of them. */
export function fakeLimits(): Limits {
  return {
    maxRunning: { total: 50, perUser: 10 },
    running: { total: 4, mine: 4 },
    maxWorkspacesPerUser: 50,
    quota: {
      workspaces: { used: 5, max: 50 },
      running: { used: 4, max: 10 },
      cpu: { used: 5, max: null },
      memoryBytes: { used: 10 * GIB, max: 12 * GIB },
    },
    groups: [],
    cpu: { min: 0.1, max: 4, default: 1 },
    memoryBytes: { min: 64 * 1024 ** 2, max: 8 * GIB, default: 2 * GIB },
    pids: { min: 16, max: 4096, default: 512 },
    hostNetwork: false,
    images: true,
    isolation: true,
    mayCreate: true,
    refusal: null,
    maxVisibility: 'public',
    maxPorts: 32,
    maxPaths: 16,
    maxEnv: 200,
    trashMs: 7 * 86_400_000,
    runtime: 'docker',
  }
}

function template(name: string, title: string, summary: string, ports: TemplateView['ports']): TemplateView {
  const defaultPort = ports[0]?.port ?? null
  const sizes = {
    cpu: null,
    memoryBytes: null,
    pids: null,
    diskBytes: null,
    gpus: 0,
    mounts: [],
    networks: [],
  }
  const open = { available: true, restricted: false, lacks: null }
  return { name, title, summary, ports, paths: [], defaultPort, ...sizes, ...open }
}

/** The three built-in templates, the middle one not available. */
export function fakeTemplates(): TemplateView[] {
  return [
    template('node-web', 'Node web app', 'A web app with a WebSocket on 3000', [
      filledPort({ port: 3000, name: 'web' }),
    ]),
    {
      ...template('code-server', 'VS Code', 'VS Code in the browser', [
        filledPort({ port: 8443, name: 'ide' }),
      ]),
      available: false,
      lacks: 'Its image is not built here: run npm run images.',
    },
    template('blank', 'Blank', 'A shell and nothing else', []),
  ]
}

const noSpec: SpecView = {
  template: null,
  image: null,
  cpu: null,
  memoryBytes: null,
  pids: null,
  diskBytes: null,
  env: [],
  command: null,
  ports: [],
  paths: [],
  gpus: 0,
  mounts: [],
  networks: [],
}

/** The spec view after a create or a patch: nulls go back to nothing, a secret loses its value. */
export function specOf(
  given: PatchWorkspace & { template?: string | undefined },
  before: SpecView = noSpec,
): SpecView {
  const { env, ports, ...plain } = given
  const changed = Object.fromEntries(Object.entries(plain).filter(([, value]) => value !== undefined))
  const shownEnv = env?.map(({ name, value, secret = false }) =>
    secret || value === undefined ? { name, secret } : { name, value, secret },
  )
  const shownPorts = ports?.map(filledPort)
  return {
    ...before,
    ...changed,
    env: shownEnv ?? before.env,
    ports: shownPorts ?? before.ports,
  }
}

/** A running workspace of `owner` with a web port. */
export function fakeWorkspace(id: string, name: string, owner: UserView): WorkspaceView {
  const now = Date.now()
  return {
    id,
    name,
    owner: { id: owner.id, username: owner.username },
    ownerGroup: null,
    role: owner.username === 'ada' ? 'owner' : null,
    want: 'running',
    phase: 'running',
    generation: 1,
    observedGeneration: 1,
    spec: {
      template: 'node-web',
      image: null,
      cpu: 2,
      memoryBytes: 4 * GIB,
      pids: null,
      diskBytes: null,
      env: [],
      command: null,
      ports: [filledPort({ port: 3000, name: 'web' })],
      paths: [],
      gpus: 0,
      mounts: [],
      networks: [],
    },
    host: { id: 'h1', name: 'forge-1' },
    aliases: [],
    urls: {
      default: `http://${name}.ws.localhost:8090/`,
      ports: { '3000': `http://${name}-3000.ws.localhost:8090/` },
      aliases: {},
    },
    createdAtMs: now - 5 * 86_400_000,
    updatedAtMs: now,
    startedAtMs: now - 3 * 3_600_000,
    revision: 1,
  }
}

/** This session, and one on a phone. */
export function fakeSessions(): SessionView[] {
  const now = Date.now()
  const day = 86_400_000
  const expiresAtMs = now + 30 * day
  return [
    {
      id: 's1',
      current: true,
      createdAtMs: now - day,
      lastUsedAtMs: now,
      expiresAtMs,
      device: 'Chromium on Linux',
      address: '127.0.0.1',
      via: 'password',
    },
    {
      id: 's2',
      current: false,
      createdAtMs: now - 3 * day,
      lastUsedAtMs: now - day,
      expiresAtMs,
      device: 'Firefox on Android',
      address: '10.0.0.7',
      via: 'oidc:company',
    },
  ]
}
