/** Folders go in, templates come out; a broken one stops the start and names its file. */
import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { SeedFile } from '@postern/plugin'
import { parse } from 'yaml'
import { z } from 'zod'
import {
  edgePortSchema,
  gpuCount,
  mountsSchema,
  networksSchema,
  pathsSchema,
  portDefaults,
  portNumber,
  visibilitySchema,
} from './wire/index.ts'
import type { TemplateView } from './wire/index.ts'
import type { Template } from './lifecycle/spec.ts'
import { lackingOn, shutProblem } from './placement/limits.ts'
import { StartError } from './start-error.ts'
import type { Host } from './store/hosts.ts'

const words = z.array(z.string().min(1)).min(1)
const templateSchema = z
  .strictObject({
    title: z.string().min(1).max(80),
    summary: z.string().max(400).default(''),
    default_port: portNumber.optional(),
    ports: z
      .array(
        z.strictObject({
          port: portNumber,
          name: z.string().min(1).max(40).optional(),
          visibility: visibilitySchema.default(portDefaults.visibility),
          lenient: edgePortSchema.shape.lenient.default(portDefaults.lenient),
          host_header: edgePortSchema.shape.hostHeader.default(portDefaults.hostHeader),
          scheme: edgePortSchema.shape.scheme.default(portDefaults.scheme),
          cors: edgePortSchema.shape.cors.default(portDefaults.cors),
        }),
      )
      .max(32)
      .default([]),
    paths: pathsSchema.default([]),
    cpu: z.number().positive().optional(),
    memory_bytes: z.int().positive().optional(),
    pids: z.int().positive().optional(),
    disk_bytes: z.int().positive().optional(),
    gpus: gpuCount.default(0),
    mounts: z
      .array(
        z.strictObject({ source: z.string(), target: z.string(), read_only: z.boolean().default(false) }),
      )
      .transform((mounts): z.input<typeof mountsSchema> =>
        mounts.map(({ read_only: readOnly, ...mount }) => ({ ...mount, readOnly })),
      )
      .pipe(mountsSchema)
      .default([]),
    networks: networksSchema.default([]),
    container: z.strictObject({ image: z.string().min(1), command: words.optional() }).optional(),
    host: z
      .union([
        z.strictObject({ command: words, files: z.array(z.string().min(1)).default([]) }),
        z.strictObject({ lacks: z.string().min(1) }),
      ])
      .optional(),
  })
  .refine(
    (body) => body.container !== undefined || body.host !== undefined,
    'needs `container`, `host` or both',
  )

/** The longest seed file, in bytes. */
const FILE_MAX = 256 * 1024

function broken(file: string, message: string, cause?: unknown): StartError {
  return new StartError('template_invalid', `${file}: ${message}`, { cause })
}

async function seedFiles(folder: string, names: readonly string[]): Promise<SeedFile[]> {
  const files: SeedFile[] = []
  for (const name of names) {
    const file = join(folder, name)
    if (name !== basename(name))
      throw broken(join(folder, 'template.yml'), `files: ${name} is not a name in its folder`)
    const content = await readFile(file).catch((err: unknown) => {
      throw broken(file, 'cannot be read', err)
    })
    if (content.length > FILE_MAX) throw broken(file, `is longer than ${FILE_MAX} bytes`)
    files.push({ path: name, content: content.toString('utf8') })
  }
  return files
}

async function loadTemplate(folder: string): Promise<Template> {
  const file = join(folder, 'template.yml')
  let content: unknown
  try {
    content = parse(await readFile(file, 'utf8'))
  } catch (err) {
    throw broken(file, err instanceof Error ? err.message : String(err), err)
  }
  const result = templateSchema.safeParse(content)
  if (!result.success)
    throw broken(
      file,
      result.error.issues
        .map(({ path, message }) => `${path.join('.') || 'the whole'}: ${message}`)
        .join('; '),
    )
  const body = result.data
  const host =
    body.host !== undefined && 'command' in body.host
      ? { command: body.host.command, files: await seedFiles(folder, body.host.files) }
      : null
  return {
    name: basename(folder),
    title: body.title,
    summary: body.summary,
    defaultPort: body.default_port ?? null,
    ports: body.ports.map(({ name, host_header: hostHeader, ...port }) => ({
      ...port,
      name: name ?? null,
      hostHeader,
    })),
    paths: body.paths,
    cpu: body.cpu ?? null,
    memoryBytes: body.memory_bytes ?? null,
    pids: body.pids ?? null,
    diskBytes: body.disk_bytes ?? null,
    gpus: body.gpus,
    mounts: body.mounts,
    networks: body.networks,
    container:
      body.container === undefined
        ? null
        : { image: body.container.image, command: body.container.command ?? null },
    host,
    lacks:
      body.host !== undefined && 'lacks' in body.host
        ? body.host.lacks
        : host === null
          ? 'This template needs a runtime that takes images, such as Docker.'
          : null,
  }
}

/** All templates by name, later folders winning; a folder that isn't there has none. @throws StartError template_invalid */
export async function loadTemplates(directories: readonly string[]): Promise<ReadonlyMap<string, Template>> {
  const templates = new Map<string, Template>()
  for (const directory of directories) {
    const entries = await readdir(directory, { withFileTypes: true }).catch((err: NodeJS.ErrnoException) => {
      if (err.code === 'ENOENT') return []
      throw broken(directory, 'cannot be read', err)
    })
    for (const entry of entries) {
      const folder = join(directory, entry.name)
      const found = await stat(join(folder, 'template.yml')).catch(() => null)
      if (found !== null) templates.set(entry.name, await loadTemplate(folder))
    }
  }
  return new Map([...templates].sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** A template as users see it: available when a host that is open to them can take it, or while no host is known. */
export function templateView(
  template: Template,
  { all, open }: { readonly all: readonly Host[]; readonly open: readonly Host[] },
  restricted: boolean,
): TemplateView {
  const lacks = shutProblem(all, open) ?? lackingOn(template, open)?.message ?? null
  const isElsewhere = lacks !== null && open.length > 0 && lackingOn(template, all) === null
  return {
    name: template.name,
    title: template.title,
    summary: template.summary,
    ports: template.ports.map((port) => ({ ...port })),
    paths: template.paths.map((path) => ({ ...path })),
    defaultPort: template.defaultPort,
    cpu: template.cpu,
    memoryBytes: template.memoryBytes,
    pids: template.pids,
    diskBytes: template.diskBytes,
    gpus: template.gpus,
    mounts: template.mounts.map((mount) => ({ ...mount })),
    networks: [...template.networks],
    available: lacks === null,
    restricted,
    lacks: isElsewhere
      ? 'The hosts that can run it are not open to you; an administrator can grant you one.'
      : lacks,
  }
}
