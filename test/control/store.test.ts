/** One suite for the store on SQLite and on PostgreSQL; then what only a file can do wrong. */
import { fork } from 'node:child_process'
import { chmod, chown, mkdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { filledPort } from '../../control/wire/index.ts'
import { openFeed } from '../../control/feed/feed.ts'
import type { Batch, Feed } from '../../control/feed/feed.ts'
import { changesAfter, pruneChanges, readRevisions } from '../../control/store/changes.ts'
import { settleFact } from '../../control/store/facts.ts'
import { reservedFor, reserveName } from '../../control/store/names.ts'
import { findHost, listHosts, saveHost, updateHost } from '../../control/store/hosts.ts'
import type { Host } from '../../control/store/hosts.ts'
import { openDatabase } from '../../control/store/open.ts'
import type { Database } from '../../control/store/open.ts'
import {
  consumeCode,
  findSession,
  insertCode,
  insertSession,
  listSessions,
} from '../../control/store/sessions.ts'
import { deleteByHash } from '../../control/store/sliding.ts'
import type { Session } from '../../control/store/sessions.ts'
import { appendTimeline, listTimeline, TIMELINE_KEPT } from '../../control/store/timeline.ts'
import { consumeJoinToken, insertJoinToken, insertToken, listTokens } from '../../control/store/tokens.ts'
import { deleteUser, findUser, insertUser, listUsers } from '../../control/store/users.ts'
import type { User } from '../../control/store/users.ts'
import {
  findWorkspace,
  insertWorkspace,
  listWorkspaces,
  updateWorkspace,
} from '../../control/store/workspaces.ts'
import type { Workspace } from '../../control/store/workspaces.ts'
import { usageByOwner } from '../../control/store/quotas.ts'
import { startPostgres } from '../support/control-postgres.ts'
import { listeningLog } from '../support/control-server.ts'

const late = 1_795_000_000_123

const user = (id: string, username = id): User => ({
  id,
  username,
  email: null,
  role: 'member',
  disabled: false,
  passwordHash: 'x',
  createdAtMs: late,
})

const session = (hash: string, userId: string, parent: string | null = null): Session => ({
  hash,
  id: `id${hash}`,
  userId,
  workspace: parent === null ? null : { parentHash: parent, workspaceId: 'w', label: 'one-3000' },
  createdAtMs: late,
  lastUsedAtMs: late,
  expiresAtMs: late + 1,
  endsAtMs: late + 2,
  ip: '127.0.0.1',
  userAgent: 'tests',
  via: 'password',
})

const host = (id: string): Host => ({
  id,
  name: id,
  publicKey: `key ${id}`,
  machineId: 'm',
  embedded: false,
  epoch: 1,
  credentialHash: `hash ${id}`,
  runtime: 'fake',
  capabilities: { images: true, limits: { cpu: true } },
  subnets: ['10.0.0.0/8'],
  version: '1',
  createdAtMs: late,
  lastSeenAtMs: late,
  connected: true,
  health: { status: 'healthy', message: 'fine', warnings: ['one'] },
  desiredRevision: 7,
})

const workspace = (id: string, ownerId: string, over: Partial<Workspace> = {}): Workspace => ({
  id,
  name: `name-${id}`,
  ownerId,
  ownerGroupId: null,
  want: 'running',
  data: 'keep',
  admitted: true,
  wantedAtMs: late,
  generation: 3,
  programGeneration: 2,
  spec: {
    template: 'blank',
    image: null,
    cpu: 0.5,
    memoryBytes: null,
    pids: null,
    diskBytes: null,
    env: [{ name: 'A', value: 'ö\n"', secret: false }],
    command: ['a', 'b c'],
    ports: null,
    paths: null,
    gpus: 1,
    mounts: [{ source: '/srv/data', target: '/data', readOnly: true }],
    networks: ['host'],
  },
  resolved: {
    cpu: 0.5,
    memoryBytes: 8 * 1024 ** 3,
    pids: 5,
    diskBytes: null,
    ports: [filledPort({ port: 3000 })],
    paths: [{ prefix: '/api', port: 8000 }],
    gpus: 1,
    mounts: [{ source: '/srv/data', target: '/data', readOnly: true }],
    networks: ['host'],
    defaultPort: 3000,
    container: { image: 'i', command: null },
    host: null,
    lacks: 'this',
  },
  hostId: null,
  desiredRevision: 5,
  status: {
    id,
    state: 'running',
    generation: 3,
    incarnation: 'i',
    reach: { kind: 'ports', host: '127.0.0.1', ports: { '3000': 4000 } },
  },
  statusRevision: 5,
  phase: 'running',
  reason: { code: 'running', message: 'It runs.', sinceMs: late },
  createdAtMs: late,
  updatedAtMs: late,
  purgeAtMs: null,
  revision: 9,
  ...over,
})

function suite(name: string, open: (label: string) => Promise<Database>): void {
  void t.test(name, async (t) => {
    const opened = async (t: Test, label: string): Promise<{ database: Database; feed: Feed }> => {
      const database = await open(label)
      const feed = await openFeed(database, listeningLog())
      t.teardown(async () => {
        await feed.close()
        await database.close()
      })
      return { database, feed }
    }

    await t.test('gives back what was stored', async (t) => {
      const { db } = (await opened(t, 'rows')).database
      await insertUser(db, { ...user('u1'), role: 'administrator', email: 'a@b.c' })
      t.same(await findUser(db, { username: 'u1' }), { ...user('u1'), role: 'administrator', email: 'a@b.c' })
      await t.rejects(insertUser(db, user('u2', 'u1')), 'a username is unique')
      await saveHost(db, host('h1'))
      await saveHost(db, { ...host('h1'), epoch: 2 })
      t.same(await listHosts(db), [{ ...host('h1'), epoch: 2 }])
      await updateHost(db, 'h1', { connected: false, desiredRevision: 8 })
      t.match(await findHost(db, { credentialHash: 'hash h1' }), { connected: false, desiredRevision: 8 })
      const one = workspace('w1', 'u1', { hostId: 'h1' })
      await insertWorkspace(db, one)
      t.same(await findWorkspace(db, { name: 'name-w1' }), one)
      await updateWorkspace(db, { ...one, want: 'stopped', admitted: false, purgeAtMs: late, reason: null })
      t.match(await findWorkspace(db, { id: 'w1' }), { want: 'stopped', purgeAtMs: late, reason: null })
      await t.rejects(insertWorkspace(db, { ...workspace('w2', 'u1'), name: 'name-w1' }), 'a name is unique')
      await insertToken(db, {
        hash: 't',
        id: 'ti',
        userId: 'u1',
        name: 'n',
        scopes: ['connect', 'admin'],
        bounds: { workspaceId: 'w1', ports: [1, 65_535] },
        parentId: null,
        createdAtMs: late,
        expiresAtMs: null,
        lastUsedAtMs: null,
      })
      t.match(await listTokens(db, { userId: 'u1' }), [{ scopes: ['connect', 'admin'], expiresAtMs: null }])
    })

    await t.test('lists by choice, in pages', async (t) => {
      const { db } = (await opened(t, 'lists')).database
      for (const name of ['u3', 'u1', 'u2']) await insertUser(db, user(name))
      t.same(
        (await listUsers(db, { after: 'u1', limit: 1 })).map(({ id }) => id),
        ['u2'],
      )
      await insertWorkspace(db, workspace('w1', 'u1', { admitted: false, wantedAtMs: late + 2 }))
      await insertWorkspace(db, workspace('w2', 'u1', { admitted: false, wantedAtMs: late + 1 }))
      await insertWorkspace(db, workspace('w3', 'u2', { want: 'removed', admitted: false, purgeAtMs: late }))
      await insertWorkspace(db, workspace('w4', 'u2'))
      const ids = async (choice: Parameters<typeof listWorkspaces>[1]): Promise<string[]> =>
        (await listWorkspaces(db, choice)).map(({ id }) => id)
      t.same(await ids({ waitingForPlace: true }), ['w2', 'w1'], 'who waits longest first')
      t.same(await ids({ purgeableAtMs: late }), ['w3'])
      t.same(await ids({ purgeableAtMs: late - 1 }), [])
      t.same(await ids({ unplaced: true }), ['w1', 'w2', 'w4'])
      t.same(await ids({ ownerId: 'u1', after: 'name-w1', limit: 5 }), ['w2'])
      const held = await usageByOwner(db)
      t.same(
        held
          .map(({ ownerId, workspaces, running }) => `${ownerId} ${workspaces} ${running}`)
          .sort((a, b) => (a < b ? -1 : 1)),
        ['u1 2 0', 'u2 1 1'],
      )
    })

    await t.test('ends children with their parents, and everything with its user', async (t) => {
      const { db } = (await opened(t, 'sessions')).database
      await insertUser(db, user('u1'))
      await insertSession(db, session('p', 'u1'))
      await insertSession(db, session('c', 'u1', 'p'))
      t.same(await findSession(db, 'c'), session('c', 'u1', 'p'))
      await deleteByHash(db, 'sessions', ['p'])
      t.equal(await findSession(db, 'c'), null)
      await insertSession(db, session('q', 'u1'))
      t.equal((await listSessions(db, { expiredAtMs: late })).length, 0)
      t.equal((await listSessions(db, { expiredAtMs: late + 1 })).length, 1)
      await deleteUser(db, 'u1')
      t.same(await listSessions(db, 'all'), [])
    })

    await t.test('gives codes and join tokens away once, whoever asks at once', async (t) => {
      const { db } = (await opened(t, 'codes')).database
      await insertUser(db, user('u1'))
      await insertSession(db, session('p', 'u1'))
      const code = {
        hash: 'c',
        userId: 'u1',
        parentHash: 'p',
        workspaceId: 'w',
        label: 'l',
        challenge: 'x',
        expiresAtMs: late,
      }
      await insertCode(db, code)
      const all = await Promise.all(Array.from({ length: 12 }, () => consumeCode(db, 'c')))
      t.same(
        all.filter((each) => each !== null),
        [code],
      )
      await insertJoinToken(db, { hash: 'j', id: 'j', name: 'n', expiresAtMs: late })
      t.equal(await consumeJoinToken(db, 'j', late), false, 'too late')
      const joined = await Promise.all(Array.from({ length: 12 }, () => consumeJoinToken(db, 'j', late - 1)))
      t.equal(joined.filter(Boolean).length, 1)
    })

    await t.test('settles a fact once', async (t) => {
      const { db } = (await opened(t, 'facts')).database
      const said = await Promise.all(['a', 'b', 'c'].map((value) => settleFact(db, 'set_up_by', value)))
      t.equal(new Set(said).size, 1)
      await reserveName(db, 'old', 'u1', late)
      await reserveName(db, 'old', 'u2', late)
      t.equal(await reservedFor(db, 'old'), 'u2', 'who had it last keeps it')
    })

    await t.test('bounds a timeline', async (t) => {
      const { db } = (await opened(t, 'timeline')).database
      await insertUser(db, user('u1'))
      await insertWorkspace(db, workspace('w1', 'u1'))
      await db.transaction(async (tx) => {
        for (let n = 0; n < TIMELINE_KEPT + 30; n++)
          await appendTimeline(tx, {
            workspaceId: 'w1',
            atMs: late,
            phase: 'running',
            code: 'running',
            message: String(n),
            actor: null,
          })
      })
      const lines = await listTimeline(db, 'w1', { limit: 2000 })
      t.equal(lines.length, TIMELINE_KEPT)
      t.equal(lines[0]?.message, String(TIMELINE_KEPT + 29), 'the newest stay')
    })

    await t.test('tells of commits in their order, each to every consumer before it resolves', async (t) => {
      const { feed } = await opened(t, 'feed')
      const heard: number[] = []
      await feed.subscribe(
        async () => undefined,
        (batch) => void heard.push(...batch.changes.map(({ revision }) => revision)),
      )
      await Promise.all(
        Array.from({ length: 30 }, async (_, n) => {
          const revision = await feed.write((w) => w.changed('workspace', `w${n}`))
          t.ok(heard.includes(revision), `${revision} was told before the write resolved`)
        }),
      )
      t.same(
        heard,
        Array.from({ length: 30 }, (_, n) => n + 1),
      )
      await t.rejects(
        feed.write(async (w) => {
          await w.changed('workspace', 'lost')
          throw new Error('rolled back')
        }),
        { message: 'rolled back' },
      )
      t.equal((await readRevisions(feed.db)).newest, 30, 'a rollback leaves no gap')
      t.equal((await changesAfter(feed.db, 28)).length, 2)
    })

    await t.test('says so when changes were missed, and goes on after a consumer failed', async (t) => {
      const { feed } = await opened(t, 'missed')
      const batches: Batch[] = []
      let fails = false
      await feed.subscribe(
        async () => undefined,
        (batch) => {
          if (fails) throw new Error('not now')
          batches.push(batch)
        },
      )
      fails = true
      await t.rejects(feed.write((w) => w.changed('user', 'a')))
      fails = false
      await feed.write((w) => w.changed('user', 'b'))
      t.same(
        batches[0]?.changes.map(({ subject }) => subject),
        ['a', 'b'],
      )
      fails = true
      await t.rejects(feed.write((w) => w.changed('user', 'c')))
      await pruneChanges(feed.db, 0)
      fails = false
      await feed.pump()
      t.match(batches[1], { missed: true, revision: 3, changes: [] })
    })
  })
}

const sqlite = t.testdir({})
suite('SQLite', (label) => openDatabase({ stateDirectory: join(sqlite, label), databaseUrl: null }))

const postgres = await startPostgres()
if (postgres === null) void t.test('PostgreSQL', { skip: 'it is not installed' }, () => undefined)
else {
  t.teardown(() => postgres.stop())
  suite('PostgreSQL', async (label) =>
    openDatabase({
      stateDirectory: join(sqlite, `pg-${label}`),
      databaseUrl: await postgres.database(label),
    }),
  )
  await t.test('two servers on one PostgreSQL', async (t) => {
    const place = { stateDirectory: join(sqlite, 'pg-two'), databaseUrl: await postgres.database('two') }
    const databases = await Promise.all([openDatabase(place), openDatabase(place), openDatabase(place)])
    const [one, two] = [
      await openFeed(databases[0], listeningLog()),
      await openFeed(databases[1], listeningLog()),
    ]
    t.teardown(async () => {
      await Promise.all([one.close(), two.close()])
      await Promise.all(databases.map((each) => each.close()))
    })
    const heard = new Promise<Batch>((resolve) => {
      void two.subscribe(async () => undefined, resolve)
    })
    await one.write((w) => w.changed('workspace', 'w'))
    t.match((await heard).changes, [{ subject: 'w' }], 'by looking, without a commit of its own')
    const revisions = await Promise.all(
      Array.from({ length: 20 }, (_, n) => (n % 2 === 0 ? one : two).write((w) => w.changed('user', 'u'))),
    )
    t.equal(new Set(revisions).size, 20, 'no revision twice')
  })
}

await t.test('a database of a newer version', async (t) => {
  const place = { stateDirectory: join(t.testdir({}), 's'), databaseUrl: null }
  const database = await openDatabase(place)
  await database.db('migrations').insert({ name: '0999-from-the-future' })
  await database.close()
  await t.rejects(openDatabase(place), {
    code: 'database_newer',
    message: /0999-from-the-future/,
    fix: /newer/,
  })
})

await t.test('a database that another process holds', async (t) => {
  const place = { stateDirectory: join(t.testdir({}), 's'), databaseUrl: null }
  const database = await openDatabase(place)
  t.equal((await stat(join(place.stateDirectory, 'postern.sqlite'))).mode & 0o777, 0o600)
  t.equal((await stat(place.stateDirectory)).mode & 0o777, 0o700)
  await t.rejects(openDatabase(place), { code: 'database_locked', fix: /other Postern/ })
  await database.close()
  await (await openDatabase(place)).close()
})

await t.test('a file that is no database, a server that is none', async (t) => {
  const stateDirectory = t.testdir({
    'postern.sqlite': 'not a database at all, but long enough to be read as one',
  })
  await t.rejects(openDatabase({ stateDirectory, databaseUrl: null }), { code: 'database_broken' })
  await t.rejects(openDatabase({ stateDirectory, databaseUrl: 'postgres://app@127.0.0.1:1/x' }), {
    code: 'database_unreachable',
  })
})

await t.test('a state directory that cannot be made', async (t) => {
  const file = join(t.testdir({ file: '' }), 'file', 'below')
  await t.rejects(openDatabase({ stateDirectory: file, databaseUrl: null }), { code: 'state_directory' })
})

const nobody = 65534
await t.test(
  'a database that may not be written',
  { skip: process.getuid?.() === 0 ? false : 'needs root to become another user' },
  async (t) => {
    const stateDirectory = join('/tmp', `postern-readonly-${process.pid}`)
    await mkdir(stateDirectory)
    t.teardown(() => import('node:fs/promises').then(({ rm }) => rm(stateDirectory, { recursive: true })))
    await (await openDatabase({ stateDirectory, databaseUrl: null })).close()
    await chmod(stateDirectory, 0o755)
    await chmod(join(stateDirectory, 'postern.sqlite'), 0o444)
    await writeFile(join(stateDirectory, 'note'), '')
    await chown(join(stateDirectory, 'note'), nobody, nobody)
    const script = fileURLToPath(new URL('../support/control-open.js', import.meta.url))
    const child = fork(script, [stateDirectory], { uid: nobody, gid: nobody, cwd: '/' })
    const said = await new Promise((resolve, reject) => {
      child.once('message', resolve)
      child.once('error', reject)
      child.once('exit', (code) => reject(new Error(`it ended with ${code}`)))
    })
    t.match(said, { code: 'database_read_only', fix: /permission/ })
  },
)
