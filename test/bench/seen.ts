/**
 * `node dist/test/bench/seen.js`: what counting, the access log and the caps cost a request, as CPU time of the whole
 * process (the thread pool that writes included), at a pace that a gateway on one core reaches.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AccessLog } from '../../control/cli/access-log.ts'
import { Caps, usualCaps } from '../../gateway/limits/caps.ts'
import { RouteClass } from '../../gateway/seen/classes.ts'
import { Counters } from '../../gateway/seen/counters.ts'
import { Seen } from '../../gateway/seen/seen.ts'
import { tellOver, type Witness } from '../../gateway/seen/tell.ts'

const REQUESTS = 100_000
/** Between two turns of the loop, as many requests as a busy one has. */
const A_TURN = 64
const ROUNDS = 7

let nth = 0

function oneRequest(to: Witness): void {
  const id = `5374653c${(nth++).toString(36).padStart(4, '0')}`
  const target = '/node_modules/.vite/deps/chunk-AB12CD.js?v=1'
  const seen = new Seen(RouteClass.proxy, id, '192.0.2.7', 'shop-3000', 'GET', target)
  seen.port = 3000
  seen.userId = '01J9Z8Y7X6W5V4U3T2S1R0QPNM'
  seen.workspaceId = '01J9Z8Y7X6W5V4U3T2S1R0QPNX'
  seen.head()
  to.counters.head(seen.headMs)
  seen.sent += 4321
  seen.status = 200
  tellOver(to, seen)
}

/** CPU time of one call in ns, the least of several rounds: the others had company. */
async function costOf(act: () => void): Promise<number> {
  let least = Number.POSITIVE_INFINITY
  for (let round = 0; round < ROUNDS; round++) {
    const before = process.cpuUsage()
    for (let done = 0; done < REQUESTS; done += A_TURN) {
      for (let i = 0; i < A_TURN; i++) act()
      await new Promise(setImmediate)
    }
    const { user, system } = process.cpuUsage(before)
    least = Math.min(least, ((user + system) * 1000) / REQUESTS)
  }
  return least
}

const folder = mkdtempSync(join(tmpdir(), 'postern-bench-'))
const log = new AccessLog({ to: join(folder, 'access.log'), maxBytes: 1e9, onTrouble: console.error })
const counters = new Counters()
const nowhere = { write: () => undefined, dropped: 0 }
const caps = new Caps(usualCaps)
const nothing = await costOf(() => undefined)
const rows: [string, () => void][] = [
  ['counts and histograms', () => oneRequest({ counters, accessLog: null, now: Date.now })],
  ['the same, and the line made', () => oneRequest({ counters, accessLog: nowhere, now: Date.now })],
  ['the same, and the line written', () => oneRequest({ counters, accessLog: log, now: Date.now })],
  [
    'caps: a seat taken and given back',
    () => {
      const seat = caps.take('01J9Z8Y7X6W5V4U3T2S1R0QPNM', '192.0.2.7', 'w', false, 0)
      if (typeof seat !== 'string') seat.leave()
    },
  ],
]
for (const [name, act] of rows)
  console.log(`${name.padEnd(36)} ${Math.round((await costOf(act)) - nothing)} ns`)
console.log(`lines dropped: ${log.dropped}`)
await log.close()
rmSync(folder, { recursive: true })
