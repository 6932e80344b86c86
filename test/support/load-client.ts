/** Keep-alive connections that ask again and again; every request that isn't answered whole by 200 is told with its reason. */
import { connect, type Socket } from 'node:net'

export interface LoadOptions {
  readonly port: number
  readonly host: string
  /** Lines of the head, such as an Authorization. */
  readonly headers: readonly string[]
  readonly connections: number
  readonly path?: string
}

/** A load that runs until it is stopped. */
export class Load {
  served = 0
  /** `refused`, `cut`, or the status line of an answer that wasn't 200. */
  readonly failures: string[] = []
  readonly #options: LoadOptions
  readonly #runs: Promise<void>[]
  #isOver = false

  constructor(options: LoadOptions) {
    this.#options = options
    this.#runs = Array.from({ length: options.connections }, () => this.#run())
  }

  /** Lets each connection's last request be answered. */
  async stop(): Promise<void> {
    this.#isOver = true
    await Promise.all(this.#runs)
  }

  async #run(): Promise<void> {
    while (!this.#isOver) {
      const socket = await this.#connect()
      if (socket === null) continue
      await this.#askAll(socket)
      socket.destroy()
    }
  }

  #connect(): Promise<Socket | null> {
    return new Promise((resolve) => {
      const socket = connect({ port: this.#options.port, host: '127.0.0.1', noDelay: true })
      const onError = (): void => {
        this.failures.push('refused')
        resolve(null)
      }
      socket.once('error', onError)
      socket.once('connect', () => {
        socket.removeListener('error', onError)
        resolve(socket)
      })
    })
  }

  async #askAll(socket: Socket): Promise<void> {
    const { host, headers, path = '/' } = this.#options
    const request = [`GET ${path} HTTP/1.1`, `Host: ${host}`, ...headers, '', ''].join('\r\n')
    while (!this.#isOver) {
      const answer = await ask(socket, request)
      if (answer === null) return void this.failures.push('cut')
      const line = answer.slice(0, answer.indexOf('\r\n'))
      if (line.includes(' 200 ')) this.served++
      else this.failures.push(line)
      if (/^connection: close/im.test(answer)) return
    }
  }
}

/** One answer with its length, or null when the connection ended before it was whole. */
function ask(socket: Socket, request: string): Promise<string | null> {
  return new Promise((resolve) => {
    let text = ''
    const finish = (answer: string | null): void => {
      socket.removeListener('data', onData)
      socket.removeListener('close', onClose)
      resolve(answer)
    }
    const onClose = (): void => finish(null)
    const onData = (chunk: Buffer): void => {
      text += chunk.toString('latin1')
      const end = text.indexOf('\r\n\r\n')
      if (end < 0) return
      const length = Number(/^content-length: (\d+)/im.exec(text.slice(0, end))?.[1] ?? NaN)
      if (text.length >= end + 4 + length) finish(text)
    }
    socket.on('data', onData)
    socket.on('close', onClose)
    socket.on('error', () => undefined)
    socket.write(request)
  })
}
