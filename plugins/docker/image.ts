/** The image of a spec is there when this resolves: looked up, pulled where it may be, never built. */
import { RuntimeError } from '@postern/plugin'
import type { Call, Progress, StartCall } from '@postern/plugin'
import { ask, unless } from './engine.ts'
import type { Engine } from './engine.ts'
import { engineError, sentenceOf } from './errors.ts'

/** True when the engine has the image. */
export async function hasImage(engine: Engine, image: string, call: Call): Promise<boolean> {
  const found = await ask(call.signal, `look for the image ${image}`, () =>
    engine.docker.getImage(image).inspect().catch(unless(404)),
  )
  return found !== undefined
}

/**
 * Ensures the image, given whether it is here already. Images named `postern/…` are made on this host and never asked
 * of a registry.
 * @throws RuntimeError ERR_IMAGE_UNAVAILABLE with what to do about it
 */
export async function ensureImage(
  engine: Engine,
  image: string,
  isHere: boolean,
  call: StartCall,
): Promise<void> {
  const { pull } = engine.config
  const isOwn = image.startsWith('postern/')
  if (isHere && (pull !== 'always' || isOwn)) return
  if (isOwn)
    throw new RuntimeError('ERR_IMAGE_UNAVAILABLE', `The image ${image} has not been made on this host.`, {
      fix: 'Make it there: npm run images (or: postern images build).',
    })
  if (pull === 'never')
    throw new RuntimeError('ERR_IMAGE_UNAVAILABLE', `The image ${image} is not on this host.`, {
      fix: `Pulling is turned off here: load the image yourself (docker pull ${image}), or set pull: missing.`,
    })
  await pullImage(engine, image, call)
}

/** One line of the engine's answer to a pull. Source: Docker Engine API, ImageCreate. */
interface PullLine {
  readonly id?: string
  readonly status?: string
  readonly progressDetail?: { readonly current?: number; readonly total?: number }
  readonly error?: string
}

async function pullImage(engine: Engine, image: string, call: StartCall): Promise<void> {
  call.onProgress?.({ step: 'pulling', message: `Pulling ${image}` })
  const sums = new PullSums(image)
  try {
    const stream = await ask(call.signal, 'ask the registry', (abortSignal) =>
      engine.docker.createImage({ fromImage: withTag(image), abortSignal }),
    )
    for await (const line of jsonLines<PullLine>(stream)) {
      if (line.error !== undefined) throw new Error(line.error)
      call.onProgress?.(sums.add(line))
    }
    call.signal.throwIfAborted()
  } catch (err) {
    call.signal.throwIfAborted()
    throw pullError(err, image)
  }
}

/** No disk and no engine stay what they are; everything else that a pull can end with is a missing image. */
function pullError(err: unknown, image: string): RuntimeError {
  const known = engineError(err, `pull ${image}`)
  if (known.code === 'ERR_NO_CAPACITY' || (known.code === 'ERR_UNAVAILABLE' && !isRegistry(err))) return known
  return new RuntimeError('ERR_IMAGE_UNAVAILABLE', `pull ${image}: ${sentenceOf(err)}`, {
    cause: err,
    fix: 'See that the name and tag are right, and that this host reaches the registry and may read from it.',
  })
}

// The engine passes on what its own connection to the registry said.
function isRegistry(err: unknown): boolean {
  return /\bGet "https?:|registry|dial tcp|lookup /.test(sentenceOf(err))
}

/** Without a tag the engine would pull every tag there is. */
function withTag(image: string): string {
  const last = image.slice(image.lastIndexOf('/') + 1)
  return last.includes(':') || last.includes('@') ? image : `${image}:latest`
}

/** Adds up the layers of a pull: bytes done and in all, as far as the registry has told. */
class PullSums {
  readonly #image: string
  readonly #layers = new Map<string, { done: number; total: number }>()

  constructor(image: string) {
    this.#image = image
  }

  add({ id, status, progressDetail }: PullLine): Progress {
    const layer = this.#layers.get(id ?? '')
    if (id !== undefined && progressDetail?.total !== undefined && status === 'Downloading')
      this.#layers.set(id, { done: progressDetail.current ?? 0, total: progressDetail.total })
    else if (layer !== undefined && /complete/i.test(status ?? '')) layer.done = layer.total
    const layers = [...this.#layers.values()]
    const total = layers.reduce((sum, one) => sum + one.total, 0)
    const message = `Pulling ${this.#image}: ${status ?? ''}`
    if (total === 0) return { step: 'pulling', message }
    return { step: 'pulling', message, done: layers.reduce((sum, one) => sum + one.done, 0), total }
  }
}

/** Values of a stream of JSON texts, one a line. */
export async function* jsonLines<T>(stream: NodeJS.ReadableStream): AsyncGenerator<T> {
  let rest = ''
  stream.setEncoding('utf8')
  for await (const chunk of stream) {
    const lines = (rest + String(chunk)).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) if (line.trim() !== '') yield JSON.parse(line) as T
  }
  if (rest.trim() !== '') yield JSON.parse(rest) as T
}
