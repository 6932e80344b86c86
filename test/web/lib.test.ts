/** The plain parts of the dashboard: units, times, words, places, keys, finding, the form, the stream's snapshot. */
import t from 'tap'
import fc from 'fast-check'
import { filledPort, type StreamMessage } from '../../control/wire/index.ts'
import { createApi } from '../../web/src/lib/api.ts'
import { deviceText } from '../../web/src/lib/device.ts'
import { found, score } from '../../web/src/lib/find.ts'
import { givesText } from '../../web/src/lib/beyond.ts'
import {
  createBody,
  draftOf,
  draftOfSpec,
  limitsOfExisting,
  nameError,
  newPortRow,
  patchBody,
  rowKey,
  specProblems,
} from '../../web/src/lib/form.ts'
import { joinCommand } from '../../web/src/lib/join.ts'
import { commandOf } from '../../web/src/lib/keys.ts'
import { actsOf, phaseLine, portUrl, toggleOf } from '../../web/src/lib/phase.ts'
import { ApiProblem, asProblem, fieldError, unplaced } from '../../web/src/lib/problem.ts'
import { activityOf, hrefOf, placeOf } from '../../web/src/lib/routes.ts'
import { applied, nothingYet, parseMessage, reconnectMs, withWorkspace } from '../../web/src/lib/stream.ts'
import { ago, exactTime, shortTime, span } from '../../web/src/lib/time.ts'
import { bytesText, coresText, parseBytes, parseCores, parseCount, stepped } from '../../web/src/lib/units.ts'
import { scrollToShow, visibleWindow } from '../../web/src/lib/window.ts'
import { joinWords, splitWords } from '../../web/src/lib/words.ts'
import { fakeLimits, fakeTemplates, fakeUser, fakeWorkspace } from '../support/web-fake-data.ts'

const GIB = 1024 ** 3
const ada = fakeUser('ada', 'member')

t.test('a disk is asked for by size, and what has one only grows', (t) => {
  const none = fakeLimits()
  const limits = { ...none, diskBytes: { min: 1024 ** 2, max: 100 * GIB, default: 10 * GIB } }
  const draft = draftOf(null, limits, 'shop')
  t.notOk('diskBytes' in createBody(draft, limits), 'empty is left to the server')
  draft.disk = '2g'
  t.equal(createBody(draft, limits).diskBytes, 2 * GIB)
  t.notOk('diskBytes' in createBody(draft, none), 'where no host holds it, it is not sent')
  const plain = fakeWorkspace('w1', 'shop', ada)
  t.equal(limitsOfExisting(limits, plain).diskBytes, undefined, 'data without a size gets none')
  const sized = { ...plain, spec: { ...plain.spec, diskBytes: 2 * GIB } }
  t.equal(limitsOfExisting(limits, sized).diskBytes?.min, 2 * GIB)
  t.same(limitsOfExisting(limits, { ...sized, phase: 'failed' }), limits, 'there its host knows better')
  const edit = draftOfSpec('shop', sized.spec)
  edit.disk = ''
  t.same(patchBody(edit, sized.spec, limits), {}, 'there is no way back to none')
  edit.disk = '3 GiB'
  t.same(patchBody(edit, sized.spec, limits), { diskBytes: 3 * GIB })
  t.end()
})

t.test('what lies beyond a workspace’s walls is sent where it may be had, and can be taken out', (t) => {
  const none = fakeLimits()
  const limits = { ...none, gpus: { max: 2 }, mounts: { under: ['/srv/data'] }, hostNetwork: true }
  const draft = draftOf(null, limits, 'shop')
  t.match(createBody(draft, limits), { gpus: 0, mounts: [], networks: [] })
  for (const field of ['gpus', 'mounts', 'networks']) t.notOk(field in createBody(draft, none), field)
  draft.beyond.gpus = '3'
  draft.beyond.mounts = ['/srv/data/set', '/srv/database', 'srv'].map((source) => ({
    key: rowKey(),
    source,
    target: '/home/dev',
    readOnly: true,
  }))
  const paths = ['gpus', ...[0, 1, 2].map((i) => `mounts.${i}.target`), 'mounts.1.source', 'mounts.2.source']
  t.same(
    specProblems(draft, limits)
      .map(({ path }) => path)
      .toSorted(),
    paths.toSorted(),
  )
  const spec = { ...fakeWorkspace('w1', 'shop', ada).spec, gpus: 1, networks: ['host' as const] }
  const edit = draftOfSpec('shop', spec)
  t.same(patchBody(edit, spec, none), {})
  edit.beyond = { ...edit.beyond, gpus: '', hostNetwork: false }
  t.same(patchBody(edit, spec, none), { gpus: 0, networks: [] }, 'also without the grant')
  t.equal(
    givesText({ gpus: 1, mounts: ['/srv/data'], hostNetwork: true }),
    '1 GPU · folders in /srv/data · its network',
  )
  t.equal(givesText({ gpus: 0, mounts: [], hostNetwork: false }), null)
  t.end()
})

t.test('amounts are read and shown in the units of a person', (t) => {
  const shown: [number, string][] = [
    [4 * GIB, '4 GiB'],
    [1.5 * GIB, '1.5 GiB'],
    [512 * 1024 ** 2, '512 MiB'],
    [2 * 1024 * GIB, '2 TiB'],
    [100, '100 B'],
  ]
  for (const [bytes, text] of shown) {
    t.equal(bytesText(bytes), text)
    t.equal(parseBytes(text), bytes, `${text} reads back`)
  }
  t.equal(parseBytes('4'), 4 * GIB, 'a bare number is GiB')
  t.equal(parseBytes('512m'), 512 * 1024 ** 2)
  for (const bad of ['', '-1', '4 Gibibyte', 'x', '0', '1e3', '999999999 TiB'])
    t.equal(parseBytes(bad), null, bad)
  t.equal(coresText(1), '1 core')
  t.equal(coresText(0.5), '0.5 cores')
  t.equal(parseCores('500m'), 0.5)
  t.equal(parseCores('2 cores'), 2)
  for (const bad of ['', '0', '-2', 'two']) t.equal(parseCores(bad), null, bad)
  t.equal(parseCount('512'), 512)
  for (const bad of ['', '0', '1.5', '-3', '99999999999']) t.equal(parseCount(bad), null, bad)
  t.equal(stepped(null, 1, { min: 1, max: 8 }), 1)
  t.equal(stepped(4, 1, { min: 1, max: 6 }), 6, 'never beyond the bound')
  t.equal(stepped(1, -1, { min: 1, max: 6 }), 1)
  t.end()
})

t.test('times say what a person needs: clock today, weekday this week, date before', (t) => {
  const now = new Date(2026, 10, 22, 15, 0, 0).getTime()
  t.equal(shortTime(new Date(2026, 10, 22, 0, 0, 1).getTime(), now), '00:00')
  t.equal(shortTime(new Date(2026, 10, 21, 23, 59).getTime(), now), 'Sat')
  t.equal(shortTime(new Date(2026, 10, 16).getTime(), now), 'Mon')
  t.equal(shortTime(new Date(2026, 10, 12).getTime(), now), '12 Nov')
  t.equal(shortTime(new Date(2025, 10, 12).getTime(), now), '12 Nov 2025')
  t.equal(exactTime(new Date(2026, 0, 2, 3, 4, 5).getTime()), '2026-01-02 03:04:05')
  t.equal(span(-5), '0 s')
  t.equal(span(59_999), '59 s')
  t.equal(span(60_000), '1 min')
  t.equal(span(3 * 3_600_000 + 1), '3 h')
  t.equal(span(47 * 3_600_000), '47 h')
  t.equal(span(5 * 86_400_000), '5 d')
  t.equal(ago(now - 1000, now), 'now')
  t.equal(ago(now - 90_000, now), '1 min ago')
  t.end()
})

t.test('a command line is the same words after there and back', (t) => {
  t.same(splitWords(`node app.js --name 'a b' "c'd" e\\ f ''`), [
    'node',
    'app.js',
    '--name',
    'a b',
    "c'd",
    'e f',
    '',
  ])
  t.equal(splitWords(`echo 'open`), null)
  t.same(splitWords('  '), [])
  fc.assert(
    fc.property(fc.array(fc.string()), (words) => {
      t.same(splitWords(joinWords(words)), words)
    }),
  )
  t.equal(
    joinCommand('https://edge.example.dev', "ada's box", 'psj_x'),
    `POSTERN_JOIN_TOKEN=psj_x postern agent -S https://edge.example.dev --deployment-name 'ada'\\''s box'`,
  )
  t.end()
})

t.test('every place has a URL that leads back to it', (t) => {
  const places = [
    { page: 'workspaces' },
    { page: 'new' },
    { page: 'workspace', name: 'shop', tab: 'overview' },
    { page: 'workspace', name: 'shop', tab: 'settings' },
    { page: 'workspace', name: 'shop', tab: 'sharing' },
    { page: 'trash' },
    { page: 'templates' },
    { page: 'hosts' },
    { page: 'host', name: 'a b/c' },
    { page: 'template', name: 'node-web' },
    { page: 'people' },
    { page: 'settings', part: 'tokens' },
  ] as const
  for (const place of places) t.same(placeOf(hrefOf(place)), place, hrefOf(place))
  t.same(placeOf('/'), { page: 'workspaces' })
  for (const path of [
    '/nope',
    '/workspaces/a/b',
    '/workspaces/a/settings/x',
    '/workspaces/%zz',
    '/settings/x',
  ])
    t.same(placeOf(path), { page: 'unknown' }, path)
  t.equal(activityOf({ page: 'trash' }), 'workspaces')
  t.equal(activityOf({ page: 'host', name: 'x' }), 'hosts')
  t.equal(activityOf({ page: 'template', name: 'x' }), 'templates')
  t.end()
})

t.test('keys mean nothing while somebody types, except the palette and Escape', (t) => {
  const press = (key: string, more = {}) => ({ key, ctrlKey: false, metaKey: false, altKey: false, ...more })
  const free = { typing: false, dialog: false }
  t.equal(commandOf(press('/'), free), 'find')
  t.equal(commandOf(press('j'), free), 'next')
  t.equal(commandOf(press('s'), { ...free, typing: true }), null)
  t.equal(commandOf(press('s'), { ...free, dialog: true }), null)
  t.equal(commandOf(press('s', { ctrlKey: true }), free), null, 'Ctrl+S is the browser’s')
  t.equal(commandOf(press('k', { ctrlKey: true }), { ...free, typing: true }), 'palette')
  t.equal(commandOf(press('Escape'), { ...free, typing: true }), 'close')
  t.equal(commandOf(press('constructor'), free), null)
  t.equal(commandOf(press('t'), free), null, 'there is no terminal yet')
  t.end()
})

t.test('a device is called by its browser and system', (t) => {
  const chrome =
    'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36'
  const phone =
    'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1'
  t.equal(deviceText(`${chrome} (127.0.0.1)`), 'Chrome 140 on Linux, 127.0.0.1')
  t.equal(deviceText(`${chrome} Edg/140.0.0.0`), 'Edge 140 on Linux')
  t.equal(deviceText(phone), 'Safari 18 on iOS')
  t.equal(deviceText('curl/8.5.0 (::1)'), 'curl 8, ::1')
  t.equal(deviceText('a script'), 'a script')
  t.equal(deviceText(''), 'unknown device')
  t.end()
})

t.test('finding puts the better match first', (t) => {
  t.same(
    found(['legacy-shop', 'workshop', 'shop', 'shop-api', 's-h-o-p', 'x'], 'shop', (s) => s),
    ['shop', 'shop-api', 'legacy-shop', 'workshop', 's-h-o-p'],
  )
  t.equal(score('Shop', ' sHOP '), 5)
  t.equal(score('a', 'b'), 0)
  t.end()
})

t.test('a long list draws only what is seen', (t) => {
  const view = { heightPx: 640, rowPx: 32, count: 5000, overscan: 8 }
  t.same(visibleWindow({ ...view, scrollTop: 0 }), {
    from: 0,
    to: 28,
    beforePx: 0,
    afterPx: (5000 - 28) * 32,
  })
  fc.assert(
    fc.property(fc.nat(200_000), fc.nat(6000), (scrollTop, count) => {
      const w = visibleWindow({ ...view, scrollTop, count })
      t.equal(w.beforePx + (w.to - w.from) * 32 + w.afterPx, count * 32, 'the height never changes')
      t.ok(w.to - w.from <= 20 + 1 + 16)
    }),
    { numRuns: 50 },
  )
  t.equal(scrollToShow(100, { scrollTop: 0, heightPx: 640, rowPx: 32 }), 101 * 32 - 640)
  t.equal(scrollToShow(3, { scrollTop: 0, heightPx: 640, rowPx: 32 }), 0)
  t.equal(scrollToShow(3, { scrollTop: 200, heightPx: 640, rowPx: 32 }), 96)
  t.end()
})

t.test('the form sends what was typed, and only what changed', (t) => {
  const limits = fakeLimits()
  const [web, ide] = fakeTemplates()
  const draft = draftOf(web ?? null, limits, 'shop')
  t.same(createBody(draft, limits), {
    name: 'shop',
    template: 'node-web',
    cpu: 1,
    memoryBytes: 2 * GIB,
    pids: 512,
    ports: [filledPort({ port: 3000, name: 'web' })],
    paths: [],
  })
  t.same(specProblems(draft, limits), [])
  const { cpu: _cpu, pids: _pids, ...without } = limits
  const less = createBody(draftOf(web ?? null, without, 'shop'), without)
  t.notOk('cpu' in less || 'pids' in less, 'a limit that nobody holds is not sent')
  draft.cpu = '9'
  draft.memory = 'lots'
  draft.command = "'"
  draft.env = [
    { key: rowKey(), name: '1A', value: '', secret: false, kept: false },
    { key: rowKey(), name: 'A', value: '', secret: false, kept: false },
    { key: rowKey(), name: 'A', value: '', secret: false, kept: false },
  ]
  draft.ports = [
    { ...newPortRow(), port: '70000' },
    { ...newPortRow(), port: '1' },
    { ...newPortRow(), port: '1' },
  ]
  t.same(
    specProblems(draft, limits).map((p) => p.path),
    ['cpu', 'memoryBytes', 'command', 'env.0.name', 'env.2.name', 'ports.0.port', 'ports.2.port'],
  )
  t.equal(ide?.available, false)

  const { spec } = fakeWorkspace('w1', 'shop', ada)
  const secret = { ...spec, env: [{ name: 'KEY', secret: true }], command: ['node', 'a b'] }
  t.same(patchBody(draftOfSpec('shop', secret), secret, limits), {}, 'nothing typed, nothing sent')
  const edit = draftOfSpec('shop', secret)
  edit.cpu = ''
  edit.command = ''
  edit.env = [...edit.env, { key: rowKey(), name: 'B', value: '2', secret: false, kept: false }]
  t.same(patchBody(edit, secret, limits), {
    cpu: null,
    command: null,
    env: [
      { name: 'KEY', secret: true },
      { name: 'B', secret: false, value: '2' },
    ],
  })
  const [row] = edit.env
  if (row !== undefined) row.value = 'new'
  t.match(patchBody(edit, secret, limits).env?.[0], { name: 'KEY', secret: true, value: 'new' })
  t.equal(nameError('shop'), undefined)
  for (const bad of ['', 'Shop', 'a-80', 'admin', 'x'.repeat(41)]) t.type(nameError(bad), 'string', bad)
  t.end()
})

t.test('what can be done follows from the phase', (t) => {
  const running = fakeWorkspace('w1', 'shop', ada)
  t.equal(actsOf(running, false).primary, 'open')
  t.equal(
    actsOf({ ...running, spec: { ...running.spec, ports: [] } }, true).primary,
    null,
    'no port, nothing to open',
  )
  t.equal(actsOf({ ...running, phase: 'stopped', want: 'stopped' }, true).primary, 'start')
  t.equal(actsOf({ ...running, phase: 'failed' }, true).primary, 'restart')
  t.same(actsOf({ ...running, phase: 'trashed', want: 'removed' }, true), {
    primary: 'restore',
    others: ['purge'],
  })
  t.same(actsOf({ ...running, phase: 'removing', want: 'removed' }, true), { primary: null, others: [] })
  const seenBy = (role: typeof running.role) => ({ ...running, role })
  t.equal(actsOf(seenBy(null), true).primary, null, 'a port of its owner alone opens for no administrator')
  t.same(actsOf(seenBy(null), true).others, ['stop', 'restart', 'trash'])
  t.same(actsOf(seenBy('viewer'), false), { primary: null, others: [] })
  t.same(actsOf(seenBy('editor'), false), { primary: 'open', others: ['stop', 'restart'] })
  t.same(actsOf(seenBy('manager'), false), { primary: 'open', others: ['stop', 'restart', 'trash'] })
  const [port] = running.spec.ports
  const shared = {
    ...running.spec,
    ports: port === undefined ? [] : [{ ...port, visibility: 'shared' as const }],
  }
  t.equal(actsOf({ ...seenBy('viewer'), spec: shared }, false).primary, 'open')
  t.equal(toggleOf(running), 'stop')
  t.equal(toggleOf({ ...running, want: 'removed' }), null)
  t.equal(phaseLine(running, (running.startedAtMs ?? 0) + 3_600_000), 'running for 1 h')
  const pulling = {
    ...running,
    phase: 'pulling',
    progress: { step: 'pulling', message: '', done: 1, total: 3 },
  } as const
  t.equal(phaseLine(pulling, 0), 'fetching its image 33 %')
  t.equal(portUrl(running, 3000), 'http://shop-3000.ws.localhost:8090/')
  t.equal(portUrl(running, 5173), 'http://shop-5173.ws.localhost:8090/', 'any port has a URL')
  t.end()
})

t.test('the stream makes a snapshot; late and double messages change nothing', (t) => {
  const shop = fakeWorkspace('w1', 'shop', ada)
  const line = {
    id: 1,
    workspaceId: 'w1',
    atMs: 1,
    phase: 'running',
    code: 'running',
    message: 'm',
    actor: null,
  } as const
  const messages: StreamMessage[] = [
    { type: 'workspace', revision: 5, workspace: { ...shop, revision: 5 } },
    { type: 'timeline', revision: 6, event: line },
    { type: 'timeline', revision: 6, event: line },
    { type: 'limits', revision: 6, limits: fakeLimits() },
    { type: 'live', revision: 7, version: '1.2.3' },
  ]
  const snapshot = applied(nothingYet, messages)
  t.equal(snapshot.revision, 7)
  t.equal(snapshot.version, '1.2.3')
  t.equal(snapshot.timelines.get('w1')?.length, 1)
  t.same(applied(snapshot, messages), snapshot, 'levels, not deltas')
  const late = withWorkspace(snapshot, { ...shop, phase: 'stopped', revision: 4 })
  t.equal(late.workspaces.get('w1')?.phase, 'running', 'an answer older than the stream is not taken')
  const newer = withWorkspace(snapshot, { ...shop, phase: 'stopped', revision: 8 })
  t.equal(newer.workspaces.get('w1')?.phase, 'stopped')
  const gone = applied(snapshot, [{ type: 'workspace-gone', revision: 8, id: 'w1' }])
  t.equal(gone.workspaces.size, 0)
  t.equal(
    withWorkspace(gone, { ...shop, revision: 8 }).workspaces.size,
    0,
    'a late answer brings nothing back',
  )
  t.equal(withWorkspace(gone, { ...shop, revision: 9 }).workspaces.size, 1, 'what the stream is yet to tell')
  t.equal(parseMessage('{'), null)
  t.equal(parseMessage('null'), null)
  t.equal(parseMessage(new ArrayBuffer(1)), null)
  t.ok(reconnectMs(0, 0) >= 375 && reconnectMs(99, 0.999) <= 18_750)
  t.end()
})

t.test('a call answers with a view or with a problem that says what to do', async (t) => {
  let signedOut = 0
  const answering = (status: number, body: string) =>
    createApi({
      fetch: async () => new Response(status === 204 ? null : body, { status }),
      onSignedOut: () => signedOut++,
    })
  const problem = (status: number, code: string, more = {}) =>
    JSON.stringify({ type: 'about:blank', status, title: 'T', code, hint: 'H', requestId: 'r', ...more })

  t.match(await answering(200, '{"id":"u"}').me(), { id: 'u' })
  t.equal(await answering(204, '').signOut(), null)
  await t.rejects(answering(200, '<html>').me(), { code: 'unreadable' })
  await t.rejects(answering(502, '<html>').me(), { code: 'unreadable', status: 502 })
  const errors = [{ path: 'ports.0.port', message: 'M' }]
  const refused = await answering(422, problem(422, 'invalid_body', { detail: 'D', errors }))
    .createWorkspace({ name: 'x' })
    .catch(asProblem)
  t.match(refused, { code: 'invalid_body', message: 'D', hint: 'H', requestId: 'r' })
  t.ok(refused instanceof ApiProblem)
  t.equal(fieldError(errors, 'ports.0'), 'M')
  t.equal(fieldError(errors, 'ports.01'), undefined)
  t.same(unplaced([...errors, { path: 'odd', message: 'O' }], ['ports']), [{ path: 'odd', message: 'O' }])
  t.equal(signedOut, 0)
  await t.rejects(answering(401, problem(401, 'unauthenticated')).me())
  t.equal(signedOut, 1)
  await t.rejects(answering(401, problem(401, 'invalid_credentials')).me())
  t.equal(signedOut, 1, 'a wrong password in a form does not end the session')
  const down = createApi({
    fetch: () => Promise.reject(new TypeError('failed')),
    onSignedOut: () => signedOut++,
  })
  await t.rejects(down.me(), { code: 'offline', status: 0 })
})
