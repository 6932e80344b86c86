/** Files of a spec go into a container that was made and not yet started, each only where nothing of its name is. */
import { posix } from 'node:path'
import type { Call, SeedFile } from '@postern/plugin'
import type { Container } from 'dockerode'
import tar from 'tar-stream'
import { HOME } from './convert.ts'
import { ask, unless } from './engine.ts'

/** The user `dev` of our images. */
const DEV = { uid: 1000, gid: 1000 }

/** Puts the files that are absent into `/home/dev/workspace`, with their folders, owned by `dev`. */
export async function putSeeds(container: Container, files: readonly SeedFile[], call: Call): Promise<void> {
  if (files.length === 0) return
  const wanted = files.map((file) => ({ path: `workspace/${file.path}`, content: file.content }))
  const folders = [...new Set(wanted.flatMap(({ path }) => foldersOf(path)))].toSorted()
  const paths = [...folders, ...wanted.map(({ path }) => path)]
  // An answer that is not read would hold its connection for ever.
  const drained = (answer: NodeJS.ReadableStream, path: string) => {
    answer.resume()
    return path
  }
  const there = await ask(call.signal, 'look at the files', (abortSignal) =>
    Promise.all(
      paths.map((path) =>
        container
          .infoArchive({ path: `${HOME}/${path}`, abortSignal })
          .then((answer) => drained(answer, path), unless(404)),
      ),
    ),
  )
  const present = new Set(there)
  const absent = wanted.filter(({ path }) => !present.has(path))
  if (absent.length === 0) return
  const pack = tar.pack()
  for (const name of folders)
    if (!present.has(name)) pack.entry({ name, type: 'directory', mode: 0o755, ...DEV })
  for (const { path, content } of absent) pack.entry({ name: path, mode: 0o644, ...DEV }, content)
  pack.finalize()
  await ask(call.signal, 'put the files in', (abortSignal) =>
    container.putArchive(pack, { path: HOME, abortSignal }),
  )
}

function foldersOf(path: string): string[] {
  const folder = posix.dirname(path)
  return folder === '.' ? [] : [...foldersOf(folder), folder]
}
