/** The ports of a workspace and the paths of its default host, as users set them and gateways decide on them. */
import { z } from 'zod'
import { PATHS_MAX, portDefaults, prefixProblem, visibilities } from './port-rules.ts'

export const visibilitySchema = z.enum(visibilities)
export type Visibility = z.infer<typeof visibilitySchema>

/** How a port is spoken to and who may use it; nothing of it is the program's business. */
export const edgePortSchema = z.object({
  port: z.int().min(1).max(65535),
  visibility: visibilitySchema,
  /** The app's answers may break HTTP's rules: a parser that forgives reads them. */
  lenient: z.boolean(),
  /** `Host` as the visitor sent it, or `localhost:<port>`, as development servers that know only that name want it. */
  hostHeader: z.enum(['public', 'local']),
  /** Of the program itself; its certificate isn't checked. */
  scheme: z.enum(['http', 'https']),
  /** `siblings`: the edge lets pages of the workspace's other ports call it with their sign-in. `app`: the app says itself. */
  cors: z.enum(['siblings', 'app']),
})
export type EdgePort = Readonly<z.infer<typeof edgePortSchema>>

const { port, visibility, lenient, hostHeader, scheme, cors } = edgePortSchema.shape
export const portNumber = port

/** A declared port as a user says it. */
export const portSchema = z.strictObject({
  port,
  name: z.string().min(1).max(40).optional(),
  visibility: visibility.optional(),
  lenient: lenient.optional(),
  hostHeader: hostHeader.optional(),
  scheme: scheme.optional(),
  cors: cors.optional(),
})

/** A declared port with nothing left open. */
export const portViewSchema = z.object({ ...edgePortSchema.shape, name: z.string().nullable() })
export type PortView = z.infer<typeof portViewSchema>

/** One line of a composition: what begins with `prefix` on the workspace's default host goes to `port`. */
export const pathSchema = z.strictObject({
  prefix: z.string().superRefine((prefix, context) => {
    const problem = prefixProblem(prefix)
    if (problem !== null) context.addIssue(problem)
  }),
  port,
})
export type EdgePath = Readonly<z.infer<typeof pathSchema>>

/** The composition of the default host; the longest prefix that fits wins. */
export const pathsSchema = z
  .array(pathSchema)
  .max(PATHS_MAX)
  .superRefine((paths, context) => {
    const seen = new Set<string>()
    paths.forEach(({ prefix }, index) => {
      if (seen.has(prefix))
        context.addIssue({ code: 'custom', message: 'is there twice', path: [index, 'prefix'] })
      seen.add(prefix)
    })
  })

/** A declared port with what was left open filled in. */
export function filledPort(given: z.infer<typeof portSchema>): PortView {
  return {
    port: given.port,
    name: given.name ?? null,
    visibility: given.visibility ?? portDefaults.visibility,
    lenient: given.lenient ?? portDefaults.lenient,
    hostHeader: given.hostHeader ?? portDefaults.hostHeader,
    scheme: given.scheme ?? portDefaults.scheme,
    cors: given.cors ?? portDefaults.cors,
  }
}
