/** Requests outside the API go in; the built dashboard's files come out, under strict headers. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import sirv from 'sirv'

/** Headers of every page of the dashboard; `publicUrl` says where its own WebSocket is. */
export function pageHeaders(publicUrl: string): Readonly<Record<string, string>> {
  const socket = new URL(publicUrl)
  socket.protocol = socket.protocol === 'https:' ? 'wss:' : 'ws:'
  return {
    'Content-Security-Policy': [
      "default-src 'self'",
      "script-src 'self'",
      "style-src 'self'",
      "img-src 'self' data:",
      // Some engines don't take 'self' for WebSockets.
      `connect-src 'self' ${socket.origin === 'null' ? `${socket.protocol}//${socket.host}` : socket.origin}`,
      "object-src 'none'",
      "base-uri 'none'",
      "form-action 'self'",
      "frame-ancestors 'none'",
    ].join('; '),
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Origin-Agent-Cluster': '?1',
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'DENY',
    'Referrer-Policy': 'same-origin',
    'Permissions-Policy': 'camera=(), geolocation=(), microphone=(), payment=(), usb=()',
  }
}

export type Pages = (req: IncomingMessage, res: ServerResponse) => void

function plain(res: ServerResponse, status: number, text: string): void {
  res.statusCode = status
  res.setHeader('Content-Type', 'text/plain; charset=utf-8')
  res.setHeader('Cache-Control', 'no-store')
  res.end(`${text}\n`)
}

/** Serves the files under `webRoot`, its index for every path of the app; null: a sentence that says so. */
export function dashboardPages(webRoot: string | null, publicUrl: string): Pages {
  const headers = pageHeaders(publicUrl)
  const files =
    webRoot === null
      ? null
      : sirv(webRoot, {
          brotli: true,
          gzip: true,
          etag: true,
          single: true,
          // A missing script must be missing, not the page.
          ignores: [/^\/assets\//],
          setHeaders(res, pathname) {
            const immutable = pathname.startsWith('/assets/')
            res.setHeader('Cache-Control', immutable ? 'public, max-age=31536000, immutable' : 'no-cache')
          },
        })
  return (req, res) => {
    for (const [name, value] of Object.entries(headers)) res.setHeader(name, value)
    if (req.method !== 'GET' && req.method !== 'HEAD') {
      res.setHeader('Allow', 'GET, HEAD')
      // The body, if any, is of no use: the connection goes with it.
      res.setHeader('Connection', 'close')
      plain(res, 405, 'Pages are only read.')
    } else if (files === null)
      plain(res, 200, 'Postern runs. The dashboard has not been built here; the API is under /api/v1.')
    else files(req, res, () => plain(res, 404, 'There is no such file.'))
  }
}
