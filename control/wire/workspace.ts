/** Workspaces as users see them: bodies of DESIGN 5.4 and the answers. Schemas first; types derive from them. */
import { z } from 'zod'
import { accessRoles } from './access.ts'
import { gpuCount, mountSchema, mountsSchema, networkNames, networksSchema } from './mounts.ts'
import { pathSchema, pathsSchema, portSchema, portViewSchema, visibilitySchema } from './ports.ts'
import { standingSchema } from './quota.ts'
import { reasonCodeList } from './reasons.ts'
import { aliasSchema } from './sharing.ts'

export const phases = [
  'pending',
  'pulling',
  'building',
  'starting',
  'running',
  'stopping',
  'stopped',
  'failed',
  'removing',
  'trashed',
] as const
export const phaseSchema = z.enum(phases)
export type Phase = z.infer<typeof phaseSchema>

export const envEntrySchema = z.strictObject({
  name: z
    .string()
    .max(128)
    .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'letters, digits and _, not beginning with a digit'),
  value: z
    .string()
    .max(32_768)
    .refine((v) => !v.includes('\0'), 'no NUL'),
  secret: z.boolean().optional(),
})

const imageReference = z
  .string()
  .min(1)
  .max(255)
  .regex(/^\w[\w.-]*(?:[:/@]\w[\w.-]*)*$/, 'an image reference such as node:22')

/** The parts of a spec that a user may set; bounds beyond these come from GET /api/v1/limits. */
const specShape = {
  image: imageReference.optional(),
  /** Cores, such as 0.5. */
  cpu: z.number().positive().max(1024).optional(),
  memoryBytes: z.int().positive().optional(),
  pids: z.int().positive().optional(),
  /** The most that its own data may take; only for hosts that can hold it. */
  diskBytes: z.int().positive().optional(),
  env: z.array(envEntrySchema).max(200).optional(),
  command: z.array(z.string().min(1).max(4096)).min(1).max(64).optional(),
  ports: z.array(portSchema).max(32).optional(),
  /** The composition of the workspace's default host; without one, all of it is the default port's. */
  paths: pathsSchema.optional(),
  /** Beyond its own walls: each takes a grant on a host that carries it, and a host whose owner lets it. */
  gpus: gpuCount.optional(),
  mounts: mountsSchema.optional(),
  /** `host`: the host's network in place of one of its own. */
  networks: networksSchema.optional(),
}

export const createWorkspaceSchema = z.strictObject({
  name: z.string(),
  /** A group that the creator is in, by id or name: its members own the workspace. */
  ownerGroup: z.string().min(1).max(80).optional(),
  template: z.string().min(1).max(64).optional(),
  ...specShape,
})
export type CreateWorkspace = z.infer<typeof createWorkspaceSchema>

/** A part of the spec; null takes a field back to the template's default. In `env`, a secret without `value` keeps it. */
export const patchWorkspaceSchema = z.strictObject({
  image: imageReference.nullable().optional(),
  cpu: specShape.cpu.nullable(),
  memoryBytes: specShape.memoryBytes.nullable(),
  pids: specShape.pids.nullable(),
  /** What has data keeps its size or grows; null leaves it as it is. */
  diskBytes: specShape.diskBytes.nullable(),
  env: z
    .array(z.strictObject({ ...envEntrySchema.shape, value: envEntrySchema.shape.value.optional() }))
    .max(200)
    .optional(),
  command: specShape.command.nullable(),
  ports: specShape.ports,
  paths: specShape.paths,
  gpus: specShape.gpus.nullable(),
  mounts: specShape.mounts.nullable(),
  networks: specShape.networks.nullable(),
})
export type PatchWorkspace = z.infer<typeof patchWorkspaceSchema>

/** The spec as it is given back: a secret's value never is. */
export const specViewSchema = z.object({
  template: z.string().nullable(),
  image: z.string().nullable(),
  cpu: z.number().nullable(),
  memoryBytes: z.number().nullable(),
  pids: z.number().nullable(),
  /** Null: its data has no bound of its own. */
  diskBytes: z.number().nullable(),
  env: z.array(z.object({ name: z.string(), value: z.string().optional(), secret: z.boolean() })),
  command: z.array(z.string()).nullable(),
  ports: z.array(portViewSchema),
  paths: z.array(pathSchema),
  gpus: z.int(),
  mounts: z.array(mountSchema),
  networks: z.array(z.enum(networkNames)),
})
export type SpecView = z.infer<typeof specViewSchema>

export const reasonSchema = z.object({
  code: z.enum(reasonCodeList),
  message: z.string(),
  hint: z.string(),
  sinceMs: z.number(),
  nextTryAtMs: z.number().optional(),
})
export type Reason = z.infer<typeof reasonSchema>

export const progressSchema = z.object({
  step: z.enum(['pulling', 'starting']),
  message: z.string().max(500),
  done: z.number().optional(),
  total: z.number().optional(),
})

export const workspaceViewSchema = z.object({
  id: z.string(),
  name: z.string(),
  owner: z.object({ id: z.string(), username: z.string() }),
  /** Its members own it; null: `owner` alone does. */
  ownerGroup: z.object({ id: z.string(), name: z.string() }).nullable(),
  /** What who asks is to it; null: they see it by office. */
  role: z.enum(accessRoles).nullable(),
  want: z.enum(['running', 'stopped', 'removed']),
  phase: phaseSchema,
  reason: reasonSchema.optional(),
  progress: progressSchema.optional(),
  generation: z.int(),
  observedGeneration: z.int(),
  spec: specViewSchema,
  host: z.object({ id: z.string(), name: z.string() }).nullable(),
  /** Other names of its host; a null port: its default app. */
  aliases: z.array(aliasSchema),
  urls: z.object({
    default: z.string(),
    ports: z.record(z.string(), z.string()),
    /** By alias. */
    aliases: z.record(z.string(), z.string()),
    /** By path mode, where that is on and the workspace is the reader's own. */
    path: z.string().optional(),
  }),
  createdAtMs: z.number(),
  updatedAtMs: z.number(),
  /** Since when it runs, on `running`. */
  startedAtMs: z.number().optional(),
  /** When the trash is emptied of it, on `trashed`. */
  purgeAtMs: z.number().optional(),
  revision: z.int(),
})
export type WorkspaceView = z.infer<typeof workspaceViewSchema>

/** One line of a workspace's timeline; `message` is a sentence that names who where that is known. */
export const timelineEventSchema = z.object({
  id: z.int(),
  workspaceId: z.string(),
  atMs: z.number(),
  phase: phaseSchema,
  code: z.enum(reasonCodeList),
  message: z.string(),
  actor: z.string().nullable(),
})
export type TimelineEvent = z.infer<typeof timelineEventSchema>

export const templateViewSchema = z.object({
  name: z.string(),
  title: z.string(),
  summary: z.string(),
  ports: z.array(portViewSchema),
  paths: z.array(pathSchema),
  defaultPort: z.number().nullable(),
  cpu: z.number().nullable(),
  memoryBytes: z.number().nullable(),
  pids: z.number().nullable(),
  diskBytes: z.number().nullable(),
  gpus: z.int(),
  mounts: z.array(mountSchema),
  networks: z.array(z.enum(networkNames)),
  available: z.boolean(),
  /** Only who holds a grant on it sees it. */
  restricted: z.boolean(),
  /** Why not, when not available. */
  lacks: z.string().nullable(),
})
export type TemplateView = z.infer<typeof templateViewSchema>

/** What the server enforces; null: no bound, or the limit cannot be held here and the form leaves it out. */
export const limitsSchema = z.object({
  maxRunning: z.object({ total: z.int(), perUser: z.int() }),
  running: z.object({ total: z.int(), mine: z.int() }),
  maxWorkspacesPerUser: z.int(),
  /** Of the person who asks: what their own workspaces use, and may use. */
  quota: standingSchema,
  /** The groups that they are in, which could own it; a null quota: what such a group owns counts for its creator. */
  groups: z.array(z.object({ id: z.string(), name: z.string(), quota: standingSchema.nullable() })),
  /** Absent: no host holds such a limit. */
  cpu: z.object({ min: z.number(), max: z.number(), default: z.number() }).optional(),
  memoryBytes: z.object({ min: z.int(), max: z.int(), default: z.int() }).optional(),
  pids: z.object({ min: z.int(), max: z.int(), default: z.int() }).optional(),
  /** `default`: of what is created without a size in an account whose quota counts disk; elsewhere it has no bound then. */
  diskBytes: z.object({ min: z.int(), max: z.int(), default: z.int() }).optional(),
  /** Absent: on no host may the person who asks have any. */
  gpus: z.object({ max: z.int() }).optional(),
  /** Absent likewise; `under`: the directories that may be mounted, with all below them. */
  mounts: z.object({ under: z.array(z.string()) }).optional(),
  /** True where the host's network may be had. */
  hostNetwork: z.boolean(),
  images: z.boolean(),
  isolation: z.boolean(),
  /** The person may create: false where nothing keeps workspaces apart, and where no host is open to them. */
  mayCreate: z.boolean(),
  /** Why not, as creating would be refused; null: they may. */
  refusal: z.string().nullable(),
  /** As widely as ports may be opened; an administrator sets it. */
  maxVisibility: visibilitySchema,
  maxPorts: z.int(),
  maxPaths: z.int(),
  maxEnv: z.int(),
  trashMs: z.int(),
  runtime: z.string(),
})
export type Limits = z.infer<typeof limitsSchema>
