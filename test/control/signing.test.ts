/** Keys of identity assertions: made once, sealed, published in time and long enough, the same for every server and gateway. */
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import * as fc from 'fast-check'
import t from 'tap'
import { AFTER_MS, AHEAD_MS, duties, SIGNS_MS } from '../../control/service/signing.ts'
import type { EdgeFact, Jwks, SigningKey } from '../../control/wire/index.ts'
import { controlServer, type ControlServer } from '../support/control-server.ts'

const root = t.testdir()
const JWKS = '/.well-known/postern/jwks.json'

const given = (server: ControlServer): readonly SigningKey[] =>
  [...server.facts.rows.values()].find(
    (fact): fact is Extract<EdgeFact, { kind: 'signing' }> => fact.kind === 'signing',
  )?.row ?? []
const shown = async (server: ControlServer): Promise<Jwks['keys']> =>
  (await server.client().call<Jwks>('GET', JWKS)).json.keys
const kids = (keys: readonly { readonly kid: string }[]): string[] => keys.map(({ kid }) => kid)

await t.test('the first key signs at once; its private part is sealed, and nobody is shown it', async (t) => {
  const stateDirectory = join(root, 'first')
  const server = await controlServer({ stateDirectory })
  const [key, ...more] = given(server)
  if (key === undefined) throw new Error('no key')
  t.same(more, [])
  t.ok(key.signsFromMs <= server.clock.now)
  const answer = await server.client().call<Jwks>('GET', JWKS)
  t.equal(answer.status, 200)
  t.same(answer.json.keys, [{ kty: 'OKP', crv: 'Ed25519', x: key.x, kid: key.kid, alg: 'EdDSA', use: 'sig' }])
  await server.sweep()
  t.same(given(server), [key], 'it stays')
  await server.close()
  for (const file of ['postern.db', 'postern.db-wal']) {
    const bytes = await readFile(join(stateDirectory, file)).catch(() => Buffer.alloc(0))
    t.notOk(bytes.includes(key.d), file)
  }
  t.notMatch(server.answers.join(), key.d)
  t.notMatch(server.log.lines.join(), key.d)
  const again = await controlServer({ stateDirectory })
  t.same(given(again), [key], 'after a restart the same')
  await again.close()
  await rm(join(stateDirectory, 'secrets.key'))
  const without = await controlServer({ stateDirectory })
  t.equal(given(without).length, 1)
  t.not(given(without)[0]?.kid, key.kid, 'what can’t be opened any more is made anew')
  t.same(kids(await shown(without)), kids(given(without)))
  await without.close()
})

await t.test('the next is published before it signs, the last as long as its statements hold', async (t) => {
  const server = await controlServer({ stateDirectory: join(root, 'rotation') })
  const [first] = given(server)
  if (first === undefined) throw new Error('no key')
  const from = first.signsFromMs
  server.clock.now = from + SIGNS_MS - AHEAD_MS - 1
  await server.sweep()
  t.same(kids(given(server)), [first.kid])
  server.clock.now++
  await server.sweep()
  const next = given(server)[1]
  t.equal(next?.signsFromMs, from + SIGNS_MS, 'gateways have it a day before')
  t.same(kids(await shown(server)), kids(given(server)))
  server.clock.now = from + SIGNS_MS + AFTER_MS - 1
  await server.sweep()
  t.same(kids(await shown(server)), [first.kid, next?.kid])
  server.clock.now++
  await server.sweep()
  t.same(kids(await shown(server)), [next?.kid])
  t.same(given(server), [next])
  await server.close()
})

await t.test('whenever one looks, one key signs, is published, and was so long enough', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 3 * SIGNS_MS }), { minLength: 1, maxLength: 40 }),
      (steps) => {
        let keys: { kid: string; signsFromMs: number; shownAtMs: number }[] = []
        let now = 1_700_000_000_000
        let lastSigner: { kid: string; untilMs: number } | null = null
        for (const [nth, step] of [0, ...steps].entries()) {
          now += step
          const { over, from } = duties(keys, now)
          keys = keys.filter(({ kid }) => !over.includes(kid))
          if (from !== null) keys.push({ kid: `k${nth}`, signsFromMs: from, shownAtMs: now })
          const signer = keys.filter(({ signsFromMs }) => signsFromMs <= now).at(-1)
          if (signer === undefined) return false
          const isEarly = signer.kid !== 'k0' && signer.signsFromMs - signer.shownAtMs < AHEAD_MS
          if (isEarly || duties(keys, now).from !== null || keys.length > 3) return false
          // What was signed up to now by another key must still be found.
          const isLost =
            lastSigner !== null && lastSigner.untilMs > now && !kids(keys).includes(lastSigner.kid)
          if (isLost) return false
          lastSigner = { kid: signer.kid, untilMs: now + 300_000 }
        }
        return true
      },
    ),
  )
  t.end()
})
