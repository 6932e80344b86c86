// Cookie tossing and jar overflow by a sibling, in a real Chromium, on both bases: out at worst, never in, and in again.
import t from 'tap'
import { bases, noScene, type Scene, startScene } from '../../support/proof-scene.ts'

const without = await noScene()
const shape = { skip: without ?? false, timeout: 240_000 }

/** The domain that a page of a workspace may set cookies for. */
const wide = ({ base }: Scene): string => (base === 'ws.localhost' ? base : 'fort.test')

/** Code of a page that sets cookies; the reading makes sure that they are set. */
const setAll = (lines: readonly string[]): string =>
  `for (const line of ${JSON.stringify(lines)}) document.cookie = line\n;document.cookie.length`

/** What stays of ours in vera's jar, by name and domain. */
async function ours({ vera, names }: Scene): Promise<string[]> {
  const all = Object.values(names)
  return (await vera.cookies())
    .filter(({ name }) => all.includes(name))
    .map(({ name, domain }) => `${name} ${domain}`)
}

for (const base of bases)
  await t.test(`tossed cookies, ${base}`, shape, async (t) => {
    const scene = await startScene(t, base)
    const { vera, lair, shop, home, names, place } = scene
    const secure = base === 'ws.localhost' ? '' : '; Secure'
    const mine = (await vera.cookies(shop)).find(({ name }) => name === names.workspace)?.value ?? ''
    t.ok(mine.length > 20)
    // Mallory’s own session, and the flow that a hand-off of hers left, made in a browser of her own.
    const mallory = place.visitor()
    await mallory.must('POST', '/api/v1/sessions', { username: 'mallory', password: 'correct horse battery' })
    const hers = mallory.cookies(home).get(names.session) ?? ''
    await mallory.ask(`${shop}/`, { headers: { Accept: 'text/html' } })
    const flow = mallory.cookies(shop).get(names.flow) ?? ''
    t.ok(hers.length > 20 && flow.length > 20)
    const values: readonly (readonly [string, string])[] = [
      [names.workspace, hers],
      [names.workspace, 'x'],
      [names.session, hers],
      [names.flow, flow],
      [`\u00a0${names.workspace}`, hers],
      [names.workspace.toUpperCase(), hers],
    ]
    const tricks = values.flatMap(([name, value]) =>
      ['/', '/mine', '/.postern', '/.postern/callback', '/sign-in'].map(
        (path) => `${name}=${value}; Domain=${wide(scene)}; Path=${path}${secure}`,
      ),
    )
    const nameless = `=${names.workspace}=${hers}; Domain=${wide(scene)}; Path=/${secure}`
    const headers = JSON.stringify([['Set-Cookie', [...tricks, nameless]]])
    // By header: the edge cuts Domain off, and takes out what bears our names.
    const byHeader = await scene.lured(`/?h=${encodeURIComponent(headers)}`)
    t.same(
      (await vera.cookies()).filter(({ domain, name }) => domain.startsWith('.') && /postern_/i.test(name)),
      [],
      'no header of an app sets a cookie of ours for its siblings',
    )
    t.ok(await scene.entersShop())
    // By script: nobody can forbid that but the browser, by the name’s prefix.
    await byHeader.evaluate(setAll([...tricks, nameless]))
    const tossed = (await vera.cookies()).filter(
      ({ domain, name }) => domain.startsWith('.') && Object.values(names).includes(name),
    )
    if (base === 'ws.localhost') t.ok(tossed.length > 5, 'over plain HTTP they are set')
    else t.same(tossed, [], 'the browser refuses the prefix with a domain')
    const page = await vera.newPage()
    await page.goto(`${shop}/mine`)
    const as = scene.shopApp.arrived.filter(({ user }) => user === 'mallory')
    t.same(as, [], 'nobody comes to the app as mallory')
    await page.close()
    t.ok(await scene.entersShop(), 'and vera gets in again, with her password at most')
    t.ok(scene.shopApp.arrived.every(({ user }) => user === 'vera'))
    t.ok(
      scene.shopApp.arrived.every(
        ({ cookie }) => !cookie.includes('postern_') || cookie.includes('\u00a0') || /POSTERN/.test(cookie),
      ),
    )
    const me = await vera.newPage()
    const answer = await me.goto(`${home}/api/v1/me`)
    t.match(await answer?.json(), { username: 'vera' }, 'the dashboard knows her as before')
    t.notMatch(await me.evaluate('document.cookie'), new RegExp(mine))
    t.equal(await byHeader.evaluate('location.origin'), lair)
  })

for (const base of bases)
  await t.test(`an overflowing jar, ${base}`, shape, async (t) => {
    const scene = await startScene(t, base)
    const { vera, shop, home } = scene
    const before = await ours(scene)
    t.ok(before.length >= 2)
    const page = await scene.lured()
    const secure = base === 'ws.localhost' ? '' : '; Secure'
    const many = (name: string, count: number, value: string): string =>
      setAll(
        Array.from(
          { length: count },
          (_, n) => `${name}${n}=${value}; Domain=${wide(scene)}; Path=/${secure}`,
        ),
      )
    await page.evaluate(many('c', 400, 'x'))
    const left = await ours(scene)
    t.ok(left.length < before.length, `what was in the jar is out: ${before.length} → ${left.length}`)
    t.ok(await scene.entersShop(), 'she signs in again')
    t.ok(scene.shopApp.arrived.every(({ user }) => user === 'vera'))
    const apart = await vera.newPage()
    t.match(await (await apart.goto(`${home}/api/v1/me`))?.json(), { username: 'vera' })
    // A head too large for anybody: the answer is a refusal, not another's page, and it says what to do.
    await page.evaluate(many('bomb', 20, 'x'.repeat(3500)))
    const count = scene.shopApp.arrived.length
    const refused = await apart.goto(`${shop}/mine`).catch(() => null)
    t.equal(refused?.status() ?? 431, 431)
    t.equal(scene.shopApp.arrived.length, count)
    const bombs = (await vera.cookies()).filter(({ name }) => name.startsWith('bomb'))
    t.ok(bombs.length > 0)
    for (const { name, domain } of bombs) await vera.clearCookies({ name, domain })
    t.ok(await scene.entersShop(), 'without them she gets in as before')
  })
