/** Who may import whom (ARCHITECTURE, "The house"): every import of every source file is held against one table. */
import { posix } from 'node:path'
import t from 'tap'
import { sourceFiles, withoutComments, type SourceFile } from '../support/repo-files.ts'

interface Row {
  readonly room: string
  readonly files: RegExp
  /** What it may import: paths inside the repository, packages, `node:` modules. */
  readonly may: RegExp
  readonly says: string
}

const node = 'node:[a-z0-9/_]+$'
const plugin = '@postern/plugin$'
const wire = './control/wire/'
/** A package by name; the repository's own plugins are none of them. */
const anyPackage = '(?!@postern/)(?!node:)[a-z@]'
const only = (...targets: readonly string[]) => new RegExp(`^(${targets.join('|')})`)

/** The first row that matches a file holds; a target inside the repository begins with `./`. */
const table: readonly Row[] = [
  {
    room: 'plugins/api',
    files: /^plugins\/api\//,
    may: only(node, './plugins/api/'),
    says: 'nothing but itself and Node',
  },
  {
    room: 'a plugin',
    files: /^(plugins|examples)\/[a-z-]+\//,
    may: only(node, plugin, '@postern/plugin/testing$', 'dockerode$', 'tar-stream$'),
    says: 'only @postern/plugin, its SDK and itself',
  },
  {
    room: 'control/wire',
    files: /^control\/wire\//,
    may: only(wire, 'zod$', 'type:@postern/plugin$'),
    says: 'only types of @postern/plugin, zod and itself: browsers use it too',
  },
  { room: 'control/cli', files: /^control\/cli\//, may: /./, says: 'everything' },
  {
    room: 'gateway',
    files: /^gateway\//,
    may: only(node, './gateway/', wire, plugin, anyPackage),
    says: 'itself, control/wire, @postern/plugin and packages',
  },
  {
    room: 'agent',
    files: /^agent\//,
    may: only(node, './agent/', wire, plugin, anyPackage),
    says: 'itself, control/wire, @postern/plugin and packages',
  },
  {
    room: 'control',
    files: /^control\//,
    may: only(node, './control/(?!cli/)', plugin, anyPackage),
    says: 'itself without cli, its wire, @postern/plugin and packages',
  },
  {
    // The build of the dashboard runs in Node; what a browser gets doesn't.
    room: 'the build of web',
    files: /^web\/[a-z.]+\.config\.ts$/,
    may: only(node, './web/', 'vite$', '@sveltejs/vite-plugin-svelte$'),
    says: 'vite and Node',
  },
  {
    room: 'web',
    files: /^web\//,
    may: only('./web/', wire, 'svelte(/[a-z]+)?$'),
    says: 'itself, control/wire and svelte',
  },
  { room: 'test', files: /^test\//, may: /./, says: 'everything' },
]

interface Import {
  readonly isType: boolean
  readonly specifier: string
}

/** Static, re-exporting and dynamic imports with a literal name. */
function importsOf(text: string): Import[] {
  const code = withoutComments(text)
  const pattern =
    /\b(?:import|export)\s+(type\s+)?(?:[^'"`;()]*?\sfrom\s+)?['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/g
  return [...code.matchAll(pattern)].map((m) => ({
    isType: m[1] !== undefined,
    specifier: m[2] ?? m[3] ?? '',
  }))
}

/** Relative specifiers become paths from the root. */
function targetOf(file: SourceFile, { isType, specifier }: Import): string {
  if (specifier.startsWith('.')) return `./${posix.join(posix.dirname(file.path), specifier)}`
  return isType && specifier === '@postern/plugin' ? 'type:@postern/plugin' : specifier
}

function problemsOf(file: SourceFile): string[] {
  const row = table.find((each) => each.files.test(file.path))
  if (!row) return [`${file.path}: is in no room of the table`]
  const self = `./${file.path.split('/').slice(0, 2).join('/')}/`
  const isAllowed = (target: string) =>
    row.may.test(target) ||
    row.may.test(target.replace(/^type:/, '')) ||
    (row.room === 'a plugin' && target.startsWith(self))
  return importsOf(file.text)
    .map((each) => targetOf(file, each))
    .filter((target) => !isAllowed(target))
    .map((target) => `${file.path} imports ${target}, but ${row.room} may import ${row.says}`)
}

t.test('the table refuses what it should, and sees every form of import', async (t) => {
  const refused: readonly (readonly [string, string])[] = [
    ['gateway/x.ts', `import { a } from '../control/store/open.ts'`],
    ['gateway/x.ts', `export * from '../agent/plan.ts'`],
    ['gateway/x.ts', `const a = await import('../control/index.ts')`],
    ['gateway/x.ts', `import type { A } from '../agent/seams.ts'`],
    ['agent/x.ts', `import '../gateway/index.ts'`],
    ['agent/x.ts', `import dockerPlugin from '@postern/plugin-docker'`],
    ['control/x.ts', `import { run } from './cli/main.ts'`],
    ['control/x.ts', `import { a } from '../gateway/seams.ts'`],
    ['control/wire/x.ts', `import { a } from 'node:fs'`],
    ['control/wire/x.ts', `import { RuntimeError } from '@postern/plugin'`],
    ['plugins/api/x.ts', `import Docker from 'dockerode'`],
    ['plugins/docker/x.ts', `import { a } from '../../agent/plan.ts'`],
    ['plugins/process/x.ts', `import { a } from '../docker/convert.ts'`],
    ['web/src/x.ts', `import { a } from '../../control/store/open.ts'`],
    ['web/src/x.ts', `import fs from 'node:fs'`],
    ['stray/x.ts', ``],
  ]
  for (const [path, text] of refused) t.equal(problemsOf({ path, text }).length, 1, `${path}: ${text}`)
  t.same(
    problemsOf({
      path: 'gateway/x.ts',
      text: `// import '../agent/plan.ts'\nimport type { A } from '../control/wire/index.ts'`,
    }),
    [],
  )
})

t.test('every source file keeps to its room', async (t) => {
  const files = sourceFiles(/^(gateway|control|agent|plugins|examples|web|test)\/.*\.(ts|svelte)$/)
  t.ok(files.length > 50, `${files.length} files`)
  t.same(files.flatMap(problemsOf), [])
})
