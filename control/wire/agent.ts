/** The contract with agents: register, desired state by long-poll, report. State travels as whole sets. */
import { z } from 'zod'
import { mountSchema } from './mounts.ts'
import { reasonCodeList } from './reasons.ts'
import { progressSchema } from './workspace.ts'

const id = z.string().regex(/^[a-z0-9]{8,40}$/)

export const capabilitiesSchema = z.object({
  watch: z.boolean().optional(),
  logs: z.boolean().optional(),
  connect: z.boolean().optional(),
  images: z.boolean().optional(),
  volumes: z.boolean().optional(),
  isolation: z.boolean().optional(),
  workspaceUsers: z.boolean().optional(),
  /** How many GPUs there are to give out. */
  gpus: z.int().min(0).optional(),
  /** The directories that the host's owner lets be mounted, with all below them. */
  mounts: z.array(z.string().max(1024)).max(64).optional(),
  hostNetwork: z.boolean().optional(),
  limits: z
    .object({
      cpu: z.boolean().optional(),
      memory: z.boolean().optional(),
      pids: z.boolean().optional(),
      tmp: z.boolean().optional(),
      disk: z.boolean().optional(),
    })
    .optional(),
  growsDisk: z.boolean().optional(),
})

/**
 * Sent at each start of an agent process. The first time with a join token that an administrator made (or the
 * embedded agent's own); later with the credential that the first answer gave. `publicKey` is the SPKI DER of an
 * Ed25519 key, base64url; `proof` is an Ed25519 signature by
 * `publicKey` over `postern-register\n<machineId>\n<publicKey>\n<issuedAtMs>`, base64url.
 */
export const registerSchema = z.strictObject({
  name: z.string().min(1).max(80),
  publicKey: z.string().min(1).max(200),
  machineId: z.string().min(1).max(128),
  issuedAtMs: z.number(),
  proof: z.string().max(200),
  runtime: z.string().regex(/^[a-z][a-z0-9-]{0,31}$/),
  capabilities: capabilitiesSchema,
  workspaceSubnets: z.array(z.string().max(64)).max(64),
  version: z.string().max(64),
})
export type Register = z.infer<typeof registerSchema>

export const registeredSchema = z.object({
  deploymentId: id,
  hostId: id,
  /** Grows at each register; calls with an older one are refused with `stale_epoch`. */
  epoch: z.int(),
  /** Given at the first register only; kept in a 0600 file. */
  credential: z.string().optional(),
  heartbeatMs: z.int(),
})
export type Registered = z.infer<typeof registeredSchema>

/** The spec as the plugin takes it; `satisfies` the plugin's WorkspaceSpec (held by a test). */
export const runtimeSpecSchema = z.object({
  id,
  name: z.string(),
  generation: z.int().positive(),
  image: z.string().optional(),
  command: z.array(z.string()).optional(),
  env: z.array(z.object({ name: z.string(), value: z.string() })),
  ports: z.array(z.object({ port: z.int(), name: z.string().optional() })),
  files: z.array(z.object({ path: z.string(), content: z.string() })).optional(),
  cpuMillis: z.int().optional(),
  memoryBytes: z.int().optional(),
  pids: z.int().optional(),
  tmpBytes: z.int().optional(),
  diskBytes: z.int().positive().optional(),
  gpus: z.int().positive().optional(),
  mounts: z.array(mountSchema).optional(),
  hostNetwork: z.boolean().optional(),
})

export const desiredEntrySchema = z.discriminatedUnion('want', [
  z.object({ want: z.literal('running'), spec: runtimeSpecSchema }),
  z.object({ want: z.literal('stopped'), id, graceMs: z.int() }),
  z.object({ want: z.literal('removed'), id, data: z.enum(['keep', 'delete']) }),
])
export type DesiredEntry = z.infer<typeof desiredEntrySchema>

/** The whole desired set of one host at a revision. */
export const desiredSchema = z.object({ revision: z.int(), workspaces: z.array(desiredEntrySchema) })
export type Desired = z.infer<typeof desiredSchema>

export const reachSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('address'), host: z.string() }),
  z.object({ kind: z.literal('ports'), host: z.string(), ports: z.record(z.string(), z.int()) }),
  z.object({ kind: z.literal('none') }),
])

/** What one host says of one workspace. `state: absent` with no data means that nothing of it is left. */
export const statusSchema = z.object({
  id,
  state: z.enum(['absent', 'retained', 'pulling', 'starting', 'running', 'stopping', 'stopped', 'failed']),
  /** The generation of what is there; 0 when nothing is. */
  generation: z.int(),
  incarnation: z.string(),
  reach: reachSchema,
  /** What its data really has; absent: no size. */
  diskBytes: z.int().positive().optional(),
  startedAtMs: z.number().optional(),
  reason: z
    .object({
      code: z.enum(reasonCodeList),
      message: z.string().max(2000),
      atMs: z.number(),
      nextTryAtMs: z.number().optional(),
    })
    .optional(),
  exit: z.object({ code: z.int().nullable(), oom: z.boolean(), atMs: z.number() }).optional(),
  progress: progressSchema.optional(),
})
export type Status = z.infer<typeof statusSchema>

/** Everything that the agent knows, whole; `observed: false` when the runtime could not be read (nothing is inferred then). */
export const reportSchema = z.strictObject({
  revision: z.int(),
  observed: z.boolean(),
  health: z.object({
    status: z.enum(['healthy', 'unhealthy', 'undetected']),
    message: z.string().max(500),
    warnings: z.array(z.string().max(500)).max(20),
  }),
  workspaces: z.array(statusSchema).max(5000),
})
export type Report = z.infer<typeof reportSchema>

/** The agent's side of the contract: over HTTP, or the same calls in one process. Each rejects with ApiError or a network error. */
export interface AgentControl {
  register(body: Register, call: { signal: AbortSignal }): Promise<Registered>
  /** Resolves at once when the host’s revision is above `since` (-1: always), else when it becomes so, or with null after ~25 s. */
  desired(since: number, call: { signal: AbortSignal }): Promise<Desired | null>
  report(body: Report, call: { signal: AbortSignal }): Promise<void>
}
