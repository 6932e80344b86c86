/** A program to measure, started as a process of its own; it says on which port it listens, and is ended at the end. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { until } from '../support/until.ts'
import { freePort, portAnswers } from '../support/fronts-process.ts'

export interface Part {
  readonly pid: number
  /** What it said after `listening `, parsed: port by name; nginx has `main` only. */
  readonly ports: Readonly<Record<string, number>>
  stop(): Promise<void>
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, 'exit')
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), 3000)
  await exit
  clearTimeout(timer)
}

/** Starts `servers/<name>.js` in a process of its own with one JSON argument; waits for its `listening {…}` line. */
export async function nodePart(
  name: string,
  argument: unknown,
  nodeArgs: readonly string[] = [],
): Promise<Part> {
  const file = new URL(`./servers/${name}.js`, import.meta.url).pathname
  const child = spawn(process.execPath, [...nodeArgs, file, JSON.stringify(argument)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NODE_ENV: 'production' },
  })
  for await (const line of createInterface({ input: child.stdout })) {
    if (!line.startsWith('listening ')) continue
    const ports = JSON.parse(line.slice('listening '.length)) as Record<string, number>
    child.stdout.resume()
    return { pid: child.pid!, ports, stop: () => end(child) }
  }
  throw new Error(`${name} ended before it listened`)
}

/** Starts nginx with one worker and the given inside of `http {}`; `PORT` in it is a free port. */
export async function nginxPart(http: string): Promise<Part> {
  const directory = mkdtempSync(join(tmpdir(), 'postern-bench-nginx-'))
  const port = await freePort()
  writeFileSync(
    join(directory, 'nginx.conf'),
    `daemon off; worker_processes 1; pid ${directory}/pid; error_log ${directory}/error.log;
events { worker_connections 1024; }
http {
  access_log ${directory}/access.log;
  client_body_temp_path ${directory}/body; proxy_temp_path ${directory}/proxy; fastcgi_temp_path ${directory}/fcgi;
  uwsgi_temp_path ${directory}/uwsgi; scgi_temp_path ${directory}/scgi;
  keepalive_requests 1000000;
  ${http.replaceAll('PORT', String(port))}
}
`,
  )
  const child = spawn('nginx', ['-p', directory, '-c', join(directory, 'nginx.conf')], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  await until(() => portAnswers(port), { what: 'nginx' })
  return {
    pid: child.pid!,
    ports: { main: port },
    async stop() {
      await end(child)
      rmSync(directory, { recursive: true, force: true })
    },
  }
}
