// A scraper's request comes in; the text of the metrics goes out.
import type { ServerResponse } from 'node:http'
import type { Logger } from '@postern/plugin'

/** Answers `/metrics`. */
export function answerMetrics(log: Logger, metrics: () => Promise<string>, res: ServerResponse): void {
  metrics().then(
    (text) => {
      const bytes = Buffer.from(text)
      const length = String(bytes.length)
      res.writeHead(200, [
        'Content-Type',
        'text/plain; version=0.0.4; charset=utf-8',
        'Content-Length',
        length,
      ])
      res.end(bytes)
    },
    (err: unknown) => {
      log.error('metrics failed', { err })
      res.writeHead(500).end()
    },
  )
}
