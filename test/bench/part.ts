/** A program to measure, started as a process of its own; it says on which port it listens, and is ended at the end. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { until } from '../support/until.ts'
import { freePort } from '../support/free-port.ts'
import { portAnswers } from '../support/fronts-process.ts'

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

/** Waits until a started program answers on its port. */
async function answering(name: string, child: ChildProcess, port: number, clear: () => void): Promise<Part> {
  await until(() => portAnswers(port), { what: name })
  return {
    pid: child.pid!,
    ports: { main: port },
    async stop() {
      await end(child)
      clear()
    },
  }
}

/** Starts a peer's own command-line program, which takes `--port`. */
export async function scriptPart(script: string, args: readonly string[]): Promise<Part> {
  const port = await freePort()
  const child = spawn(process.execPath, [script, ...args, '--port', String(port)], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, NODE_ENV: 'production', CONFIGPROXY_AUTH_TOKEN: 'bench' },
  })
  return answering(script, child, port, () => undefined)
}

/** A program with a configuration file in a folder of its own; `PORT` in the text is a free port. */
async function configured(
  command: string,
  text: string,
  argsOf: (file: string, directory: string) => readonly string[],
): Promise<Part> {
  const directory = mkdtempSync(join(tmpdir(), `postern-bench-${command}-`))
  // The worker of nginx is another user, and keeps big answers in files here.
  chmodSync(directory, 0o755)
  const port = await freePort()
  const file = join(directory, `${command}.conf`)
  writeFileSync(file, text.replaceAll('DIRECTORY', directory).replaceAll('PORT', String(port)))
  const child = spawn(command, argsOf(file, directory), {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: {
      ...process.env,
      HOME: directory,
      XDG_DATA_HOME: directory,
      XDG_CONFIG_HOME: directory,
      GOMAXPROCS: '1',
    },
  })
  return answering(command, child, port, () => rmSync(directory, { recursive: true, force: true }))
}

/** Starts nginx with one worker and the given inside of `http {}`. */
export const nginxPart = (http: string): Promise<Part> =>
  configured(
    'nginx',
    `daemon off; worker_processes 1; pid DIRECTORY/pid; error_log DIRECTORY/error.log;
events { worker_connections 16384; }
http {
  access_log DIRECTORY/access.log;
  client_body_temp_path DIRECTORY/body; proxy_temp_path DIRECTORY/proxy; fastcgi_temp_path DIRECTORY/fcgi;
  uwsgi_temp_path DIRECTORY/uwsgi; scgi_temp_path DIRECTORY/scgi;
  keepalive_requests 1000000;
  ${http}
}
`,
    (file, directory) => ['-p', directory, '-c', file],
  )

/** Starts HAProxy with one thread and the given frontends and backends. */
export const haproxyPart = (sections: string): Promise<Part> =>
  configured(
    'haproxy',
    `global
  nbthread 1
  maxconn 8000
defaults
  mode http
  timeout connect 5s
  timeout client 75s
  timeout server 75s
  timeout tunnel 1h
  http-reuse safe
${sections}
`,
    (file) => ['-db', '-q', '-f', file],
  )

/** Starts Caddy, one core, with the given sites. */
export const caddyPart = (sites: string): Promise<Part> =>
  configured(
    'caddy',
    `{
  admin off
  auto_https off
  storage file_system DIRECTORY
  log {
    level ERROR
  }
}
${sites}
`,
    (file) => ['run', '--config', file, '--adapter', 'caddyfile'],
  )
