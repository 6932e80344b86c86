/** What each route takes and gives goes in; the OpenAPI description of the users' API comes out. */
import { z } from 'zod'
import { routeNeeds } from '../authorization/authorization.ts'
import type { Operation } from './operation.ts'
import { operations } from './operations.ts'
import * as wire from '../wire/index.ts'

const problem = z.object({
  type: z.literal('about:blank'),
  status: z.int(),
  title: z.string(),
  code: z.enum(Object.keys(wire.apiCodes) as [string, ...string[]]),
  hint: z.string(),
  requestId: z.string(),
  detail: z.string().optional(),
  errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
})

const schemaOf = (schema: z.ZodType, io: 'input' | 'output'): object =>
  z.toJSONSchema(schema, { io, target: 'draft-2020-12', unrepresentable: 'any' })

const json = (schema: z.ZodType, io: 'input' | 'output', type = 'application/json'): object => ({
  content: { [type]: { schema: schemaOf(schema, io) } },
})

const inPath = (key: string): object[] =>
  [...key.matchAll(/:([a-z]+)/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }))

const inQuery = (query: z.ZodObject | undefined): object[] =>
  Object.entries(query?.shape ?? {}).map(([name, schema]) => ({
    name,
    in: 'query',
    required: !z.safeParse(schema, undefined).success,
    schema: schemaOf(schema as z.ZodType, 'input'),
  }))

function describe(key: string, { summary, query, body, answers, type }: Operation): object {
  const need = routeNeeds[key]
  const parameters = [...inPath(key), ...inQuery(query)]
  const responses = Object.entries(answers).map(([status, schema]) => [
    status,
    { description: summary, ...(schema === null ? {} : json(schema, 'output', type)) },
  ])
  return {
    summary,
    ...(need?.who === 'public' ? { security: [] } : {}),
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(body === undefined ? {} : { requestBody: { required: true, ...json(body, 'input') } }),
    responses: {
      ...Object.fromEntries(responses),
      default: { description: 'What went wrong.', ...json(problem, 'output', 'application/problem+json') },
    },
  }
}

/** OpenAPI 3.1. Source: the OpenAPI Specification 3.1.1. */
export function openApi(version: string, publicUrl: string): object {
  const described: Record<string, Record<string, object>> = {}
  for (const [key, operation] of Object.entries(operations)) {
    const [method = '', path = ''] = key.split(' ')
    const template = path.replace(/:([a-z]+)/g, '{$1}')
    described[template] = { ...described[template], [method.toLowerCase()]: describe(key, operation) }
  }
  return {
    openapi: '3.1.1',
    info: { title: 'Postern', version },
    servers: [{ url: publicUrl }],
    security: [{ token: [] }, { session: [] }],
    components: {
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer' },
        session: { type: 'apiKey', in: 'cookie', name: 'postern_session' },
      },
    },
    paths: described,
  }
}
