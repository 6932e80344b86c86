/** Every advisory of `test/security/advisories/table.ts` is named by a test there that runs, under its story. */
import t from 'tap'
import { advisories } from '../security/advisories/table.ts'
import { sourceFiles } from '../support/repo-files.ts'

interface Named {
  readonly path: string
  readonly title: string
  /** The comment above it. */
  readonly story: string
}

/** Titles of tests, with what is written above each; a test that is skipped or left for later is none. */
function testsOf(path: string, text: string): Named[] {
  const titles = /((?:^[ \t]*\/\/[^\n]*\n)*)^[ \t]*(?:await )?t\.test\(\s*(['`])((?:\\.|(?!\2)[^\\])*)\2/gm
  return [...text.matchAll(titles)].map(([, story = '', , title = '']) => ({ path, title, story }))
}

const tests = sourceFiles(/^test\/security\/advisories\/.*\.test\.ts$/).flatMap(({ path, text }) =>
  testsOf(path, text),
)
const names = ({ title }: Named, id: string): boolean =>
  title
    .split(/[,:]? |: /)
    .join(' ')
    .match(new RegExp(`(?<![\\w.-])${id.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')}(?![\\w-]|\\.\\d)`)) !== null

t.test('what finds the titles finds them', (t) => {
  const [one] = testsOf('x.test.ts', "// A story.\nt.test('Some CVE-2020-1: what', async (t) => {\n")
  t.match(one, { title: 'Some CVE-2020-1: what', story: /A story/ })
  t.ok(one !== undefined && names(one, 'CVE-2020-1') && !names(one, 'CVE-2020-12') && !names(one, '2020-1'))
  t.ok(tests.length > 40)
  t.end()
})

t.test('each id of the table is in the title of a test', (t) => {
  for (const [product = '', ...ids] of advisories)
    for (const id of ids) {
      const found = tests.filter((test) => names(test, id) && test.title.includes(product))
      t.ok(found.length > 0, `${product} ${id}`)
    }
  t.end()
})

t.test('each test has its story above it, and each id is of the table', (t) => {
  const known = new Set(advisories.flatMap(([, ...ids]) => ids))
  for (const { path, title, story } of tests) {
    t.match(story, /\w/, `${path}: ${title}`)
    for (const [id] of title.matchAll(/CVE-\d{4}-\d+|GHSA(?:-\w{4}){3}/g))
      t.ok(known.has(id), `${path}: ${id}`)
  }
  t.end()
})
