/** A running product comes in; `postern gateway` beside it, joined with a token of its own, goes out. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Client } from './product-client.ts'
import { freePorts } from './free-port.ts'
import { CliProcess } from './product-process.ts'
import type { Product } from './product.ts'

/** Of the server: where it is, where its files are, and who may let a gateway in. */
export type ServerOfGateway = Pick<Product, 'url' | 'port' | 'home' | 'admin'>

export interface GatewayProcessOptions {
  readonly workers?: number
  readonly args?: readonly string[]
  /** YAML of its configuration file, which `write` replaces. */
  readonly config?: string
}

let count = 0

/** One replica on free ports with a state directory of its own. */
export class GatewayProcess {
  readonly port: number
  readonly authzPort: number
  readonly stateDirectory: string
  readonly configFile: string
  cli!: CliProcess
  readonly #product: ServerOfGateway
  readonly #options: GatewayProcessOptions

  constructor(product: ServerOfGateway, ports: readonly [number, number], options: GatewayProcessOptions) {
    this.#product = product
    this.#options = options
    ;[this.port, this.authzPort] = ports
    const name = `gateway-${++count}`
    this.stateDirectory = join(product.home, name)
    this.configFile = join(product.home, `${name}.yml`)
  }

  /** A visitor of this replica, whose URLs are those of the product. */
  client(token?: string): Client {
    return new Client(this.#product.url, this.port, token)
  }

  /** Starts it and waits until it serves; `token` is needed the first time. */
  async start(token?: string): Promise<void> {
    this.launch(token)
    await this.cli.printed(/^Postern gateway .* answers on /m)
  }

  /** Starts it. */
  launch(token?: string): void {
    this.cli = new CliProcess({
      home: this.#product.home,
      args: [
        'gateway',
        `--server-url=http://127.0.0.1:${this.#product.port}`,
        `--listen=127.0.0.1:${this.port}`,
        `--authz-listen=127.0.0.1:${this.authzPort}`,
        `--state-directory=${this.stateDirectory}`,
        `--workers=${this.#options.workers ?? 2}`,
        `--config=${this.configFile}`,
        ...(this.#options.args ?? []),
      ],
      env: token === undefined ? {} : { POSTERN_JOIN_TOKEN: token },
    })
  }

  /** Ids of its workers' processes, as the log of each says. */
  async workers(): Promise<number[]> {
    const { readFile } = await import('node:fs/promises')
    const pid = this.cli.child.pid ?? 0
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')
    return children.trim().split(' ').filter(Boolean).map(Number)
  }
}

/** Starts one beside a product that is set up, and ends it with the test. */
export async function startGatewayProcess(
  t: { teardown(run: () => unknown): void },
  product: ServerOfGateway,
  options: GatewayProcessOptions = {},
): Promise<GatewayProcess> {
  const [port = 0, authzPort = 0] = await freePorts(2)
  const gateway = new GatewayProcess(product, [port, authzPort], options)
  t.teardown(() => gateway.cli?.end())
  await writeFile(gateway.configFile, options.config ?? 'log_level: info\n')
  const { token } = await product.admin.must<{ token: string }>('POST', '/api/v1/gateways/tokens', {
    name: 'beside',
  })
  await gateway.start(token)
  return gateway
}
