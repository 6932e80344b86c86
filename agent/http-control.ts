/** The contract with control over HTTP: calls in, answers parsed by the wire's schemas out. */
import { join } from 'node:path'
import { request, Agent as Pool, type Dispatcher } from 'undici'
import { z } from 'zod'
import {
  ApiError,
  apiCodes,
  desiredSchema,
  paths,
  registeredSchema,
  type AgentControl,
  type ApiCode,
  type Register,
  type Registered,
} from '../control/wire/index.ts'
import { readIfThere, writeDurably } from './durable-file.ts'

export interface HttpControlOptions {
  /** Origin of the server, such as `https://postern.example`; a path before `/api` is kept. */
  readonly serverUrl: string
  /** For the first register only; null where the credential is there already. */
  readonly joinToken: string | null
  /** The agent's own; the credential of the first register is kept there, 0600. */
  readonly stateDirectory: string
}

export interface HttpControl extends AgentControl {
  /** Ends its connections. */
  close(): Promise<void>
}

/** How long the server may hold a poll, and the slack given to its answer. */
const waitSeconds = 25
const answerMs = 30_000

const problemSchema = z.object({ code: z.string(), detail: z.string().optional() })

type Answer = { readonly status: number; readonly body: unknown }

/** Speaks to the server at `serverUrl`. Nothing is sent before the first call. */
export function httpControl(options: HttpControlOptions): HttpControl {
  const credentialFile = join(options.stateDirectory, 'credential')
  const base = options.serverUrl.replace(/\/+$/, '')
  const pool = new Pool({ connect: { timeout: 10_000 }, headersTimeout: answerMs + waitSeconds * 1000 })
  let credential: string | null = null
  let epoch = 0

  const call = async (
    method: Dispatcher.HttpMethod,
    path: string,
    bearer: string | null,
    body: unknown,
    signal: AbortSignal,
  ): Promise<Answer> => {
    const headers: Record<string, string> = { accept: 'application/json', 'x-postern-epoch': String(epoch) }
    if (bearer !== null) headers['authorization'] = `Bearer ${bearer}`
    if (body !== null) headers['content-type'] = 'application/json'
    const payload = body === null ? null : JSON.stringify(body)
    const answer = await request(`${base}${path}`, {
      method,
      headers,
      body: payload,
      signal,
      dispatcher: pool,
    })
    return await read(answer)
  }

  const register = async (body: Register, signal: AbortSignal): Promise<Registered> => {
    credential ??= (await readIfThere(credentialFile))?.trim() ?? null
    const bearers = [credential, options.joinToken].filter((bearer) => bearer !== null)
    let refused: unknown = new ApiError(
      'unauthenticated',
      'this agent has neither a join token nor a credential',
    )
    for (const bearer of bearers) {
      try {
        const answer = await call('POST', paths.agentRegister, bearer, body, signal)
        return registeredSchema.parse(answer.body)
      } catch (err) {
        // A credential that the server no longer knows: a join token, where one is given, joins anew.
        if (!(err instanceof ApiError && err.code === 'unauthenticated')) throw err
        refused = err
      }
    }
    throw refused
  }

  return {
    async register(body, { signal }) {
      const answer = await register(body, signal)
      epoch = answer.epoch
      if (answer.credential !== undefined) {
        credential = answer.credential
        await writeDurably(credentialFile, `${credential}\n`)
      }
      return answer
    },
    async desired(since, { signal }) {
      const path = `${paths.agentDesired}?since=${since}&wait=${waitSeconds}`
      const answer = await call('GET', path, credential, null, signal)
      return answer.status === 204 ? null : desiredSchema.parse(answer.body)
    },
    async report(body, { signal }) {
      await call('POST', paths.agentReport, credential, body, signal)
    },
    async close() {
      await pool.destroy()
    },
  }
}

/** The body of a good answer. @throws ApiError as the problem says; Error for what is no answer of Postern's */
async function read(answer: Dispatcher.ResponseData): Promise<Answer> {
  const text = await answer.body.text()
  const status = answer.statusCode
  if (status === 204) return { status, body: null }
  const body = parseJson(text)
  if (status >= 200 && status < 300) {
    if (body === undefined && text !== '') throw new Error(`the server answered ${status} without JSON`)
    return { status, body }
  }
  const problem = problemSchema.safeParse(body)
  if (problem.success && problem.data.code in apiCodes) {
    throw new ApiError(problem.data.code as ApiCode, problem.data.detail)
  }
  throw new Error(`the server answered ${status}, not as Postern does; check the server's URL`)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // told apart by the caller
  }
}
