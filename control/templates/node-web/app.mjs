// A web app without dependencies: a page, server-sent events on /events, a WebSocket echo on /ws, uploads on /upload.
// Edit this file; the program starts again by itself.
import { createHash } from 'node:crypto'
import http from 'node:http'

const port = Number(process.env.PORT ?? 3000)

const page = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Hello from your workspace</title>
<style>
  :root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
  body { max-width: 36rem; margin: 3rem auto; padding: 0 1rem }
  code { font-family: ui-monospace, monospace }
  input, button { font: inherit; padding: .3rem .6rem }
</style>
<h1>Hello from your workspace</h1>
<p>The server says it is <b id="time">…</b>.</p>
<p><input id="text" value="hello" aria-label="Text to send"> <button id="send">Send over the WebSocket</button></p>
<p>It came back as <b id="echo">…</b></p>
<p>Edit <code>~/workspace/app.mjs</code> and reload.</p>
<script>
  new EventSource('events').onmessage = (e) => { time.textContent = e.data }
  const ws = new WebSocket(new URL('ws', location.href.replace('http', 'ws')))
  ws.onmessage = (e) => { echo.textContent = e.data }
  ws.onopen = () => ws.send(text.value)
  send.onclick = () => ws.send(text.value)
</script>
</html>
`

const server = http.createServer((req, res) => {
  const path = req.url.split('?')[0]
  if (path === '/events') return events(res)
  if (path === '/upload' && (req.method === 'POST' || req.method === 'PUT')) return upload(req, res)
  if (path === '/headers') return json(res, 200, { method: req.method, headers: req.headers })
  if (path === '/') {
    res.writeHead(200, { 'content-type': 'text/html; charset=utf-8' })
    return res.end(page)
  }
  json(res, 404, { error: 'not found', path })
})

function json(res, status, value) {
  res.writeHead(status, { 'content-type': 'application/json' })
  res.end(JSON.stringify(value) + '\n')
}

function events(res) {
  res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
  const tick = () => res.write(`data: ${new Date().toLocaleTimeString()}\n\n`)
  tick()
  const timer = setInterval(tick, 1000)
  res.on('close', () => clearInterval(timer))
}

function upload(req, res) {
  const hash = createHash('sha256')
  let bytes = 0
  req.on('data', (chunk) => {
    bytes += chunk.length
    hash.update(chunk)
  })
  req.on('end', () => json(res, 200, { bytes, sha256: hash.digest('hex') }))
}

// The WebSocket (RFC 6455) in small: echoes text and binary messages up to 1 MiB.
server.on('upgrade', (req, socket, head) => {
  const key = req.headers['sec-websocket-key']
  if (req.url !== '/ws' || !key) return socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n')
  const accept = createHash('sha1')
    .update(key + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11')
    .digest('base64')
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
  )
  let pending = head
  const take = (chunk) => {
    pending = Buffer.concat([pending, chunk])
    for (let frame = readFrame(pending); frame; frame = readFrame(pending)) {
      pending = pending.subarray(frame.size)
      if (frame.opcode === 8) return socket.end(writeFrame(8, frame.payload))
      if (frame.opcode === 9) socket.write(writeFrame(10, frame.payload))
      if (frame.opcode === 1 || frame.opcode === 2) socket.write(writeFrame(frame.opcode, frame.payload))
    }
    if (pending.length > 1 << 20) socket.destroy()
  }
  socket.on('data', take)
  socket.on('error', () => socket.destroy())
  take(Buffer.alloc(0))
})

function readFrame(buffer) {
  if (buffer.length < 6) return null
  let length = buffer[1] & 127
  let at = 2
  if (length === 126) {
    length = buffer.readUInt16BE(2)
    at = 4
  } else if (length === 127) {
    if (buffer.length < 14) return null
    length = Number(buffer.readBigUInt64BE(2))
    at = 10
  }
  if (buffer.length < at + 4 + length) return null
  const mask = buffer.subarray(at, at + 4)
  const payload = Buffer.from(buffer.subarray(at + 4, at + 4 + length))
  for (let i = 0; i < payload.length; i++) payload[i] ^= mask[i % 4]
  return { opcode: buffer[0] & 15, payload, size: at + 4 + length }
}

function writeFrame(opcode, payload) {
  const head =
    payload.length < 126 ? Buffer.alloc(2) : payload.length < 65536 ? Buffer.alloc(4) : Buffer.alloc(10)
  head[0] = 128 | opcode
  if (payload.length < 126) head[1] = payload.length
  else if (payload.length < 65536) {
    head[1] = 126
    head.writeUInt16BE(payload.length, 2)
  } else {
    head[1] = 127
    head.writeBigUInt64BE(BigInt(payload.length), 2)
  }
  return Buffer.concat([head, payload])
}

server.listen(port, '0.0.0.0', () => console.log(`listening on ${port}`))
