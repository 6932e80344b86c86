/** Image building on the Docker Engine, with its progress as lines. Source: Docker Engine API, ImageBuild. */
import { readdir } from 'node:fs/promises'
import type Docker from 'dockerode'
import type { Write } from './command.ts'

export interface Build {
  readonly folder: string
  readonly dockerfile: string
  readonly tag: string
  readonly args?: Readonly<Record<string, string>>
  readonly labels?: Readonly<Record<string, string>>
}

/** Builds a folder into a tagged image. @throws Error with the engine's words when a step fails. */
export async function build(docker: Docker, what: Build, write: Write): Promise<void> {
  write(`building ${what.tag}`)
  const src = await readdir(what.folder)
  const stream = await docker.buildImage(
    { context: what.folder, src },
    {
      t: what.tag,
      dockerfile: what.dockerfile,
      buildargs: { ...what.args },
      labels: { ...what.labels },
      forcerm: true,
    },
  )
  await follow(docker, stream, write)
  write(`${what.tag}: built`)
}

interface EngineEvent {
  readonly stream?: string
  readonly status?: string
  readonly id?: string
  readonly progressDetail?: { readonly current?: number }
  readonly error?: string
}

/** Passes the engine's progress on until it ends. @throws Error with the engine's own error line. */
export async function follow(docker: Docker, stream: NodeJS.ReadableStream, write: Write): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    docker.modem.followProgress(
      stream,
      (err: Error | null) => (err ? reject(err) : resolve()),
      (event: EngineEvent) => {
        if (event.error) return reject(new Error(event.error))
        const text = event.stream ?? (event.progressDetail?.current === undefined ? event.status : undefined)
        if (text?.trim()) write(`  ${event.id ? `${event.id}: ` : ''}${text.trim()}`)
      },
    )
  })
}
