/** An example file of a front comes in, its addresses put in place; the real nginx, Caddy or HAProxy runs with it. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { portAnswers } from './fronts-process.ts'
import { until } from './until.ts'

export interface Front {
  readonly port: number
  stop(): Promise<void>
}

/** The ports that take the place of those written in the files. */
export interface FrontPorts {
  readonly front: number
  readonly postern: number
  readonly authz: number
}

const examples = new URL('../../../examples/forward-auth/', import.meta.url).pathname

/** The example's text with 8080, 8090, 8091 and the cache's folder replaced: nothing else differs from what a user copies. */
export function exampleText(
  file: string,
  ports: Omit<FrontPorts, 'front'> & { readonly front: number | string },
  directory: string,
): string {
  return readFileSync(join(examples, file), 'utf8')
    .replaceAll(/\b8080\b/g, String(ports.front))
    .replaceAll(/127\.0\.0\.1:8090\b/g, `127.0.0.1:${ports.postern}`)
    .replaceAll(/127\.0\.0\.1:8091\b/g, `127.0.0.1:${ports.authz}`)
    .replaceAll('/run/postern-decisions', `${directory}/decisions`)
}

/** nginx's example with its two lines for kept connections used as they say, for one address. */
export const keepingConnections = (text: string, address: string): string =>
  text
    .replace('# 172.30.0.2:3000 postern_pool_1;', `${address} postern_pool_1;`)
    .replace(
      '# upstream postern_pool_1 { server 172.30.0.2:3000;',
      `upstream postern_pool_1 { server ${address};`,
    )

/** Which of the two is not installed here, or null. */
export function missingFront(name: 'nginx' | 'caddy' | 'haproxy'): string | null {
  try {
    execFileSync(name, [name === 'caddy' ? 'version' : '-v'], { stdio: 'ignore' })
    return null
  } catch {
    return `${name} is not installed: apt-get install ${name}`
  }
}

async function started(child: ChildProcess, port: number, what: string): Promise<Front> {
  let said = ''
  child.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()))
  await until(
    () => {
      if (child.exitCode !== null) return Promise.reject(new Error(`${what} ended: ${said}`))
      return portAnswers(port)
    },
    { what: `${what} to listen` },
  ).catch((cause: unknown) => {
    child.kill('SIGKILL')
    throw new Error(`${what} did not start: ${said}`, { cause })
  })
  return {
    port,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const exit = once(child, 'exit')
      // Caddy would wait for connections that visitors keep open.
      child.kill(what === 'caddy' ? 'SIGQUIT' : 'SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), 3000)
      await exit
      clearTimeout(timer)
    },
  }
}

/** nginx with the file as Debian would include it from conf.d, all its own files in `directory`; `change` is what a user changes. */
export function startNginx(
  file: string,
  ports: FrontPorts,
  directory: string,
  change: (text: string) => string = (text) => text,
): Promise<Front> {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${directory}/${name};`)
    .join(' ')
  writeFileSync(join(directory, 'postern.conf'), change(exampleText(file, ports, directory)))
  writeFileSync(
    join(directory, 'nginx.conf'),
    `daemon off; worker_processes 1; pid ${directory}/pid; error_log stderr warn;
${process.getuid?.() === 0 ? 'user root;' : ''}
events { worker_connections 512; }
http { access_log off; ${temporary} include ${directory}/postern.conf; }
`,
  )
  const child = spawn('nginx', ['-p', directory, '-c', join(directory, 'nginx.conf'), '-e', 'stderr'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  return started(child, ports.front, 'nginx')
}

/** HAProxy with the file, its copy in `directory`. */
export function startHaproxy(file: string, ports: FrontPorts, directory: string): Promise<Front> {
  mkdirSync(directory, { recursive: true })
  const path = join(directory, 'haproxy.cfg')
  writeFileSync(path, exampleText(file, ports, directory))
  const child = spawn('haproxy', ['-db', '-f', path], { stdio: ['ignore', 'ignore', 'pipe'] })
  return started(child, ports.front, 'haproxy')
}

/** Caddy with the file, without its admin endpoint, all its own files in `directory`. */
export function startCaddy(file: string, ports: FrontPorts, directory: string): Promise<Front> {
  mkdirSync(directory, { recursive: true })
  const path = join(directory, 'Caddyfile')
  writeFileSync(path, `{\n\tadmin off\n}\n${exampleText(file, ports, directory)}`)
  const child = spawn('caddy', ['run', '--adapter', 'caddyfile', '--config', path], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, HOME: directory, XDG_DATA_HOME: directory, XDG_CONFIG_HOME: directory },
  })
  return started(child, ports.front, 'caddy')
}
