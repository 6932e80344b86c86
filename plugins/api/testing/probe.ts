/**
 * The probe: the program that the kit runs in workspaces and asks over HTTP what it sees.
 * Two ready-made forms (Node.js, busybox shell); any program that speaks the protocol below will do.
 *
 * It listens on `$PORT`, else `$PROBE_PORT`, and answers `GET /cgi-bin/probe?<question>`:
 *
 * - `ready`: 200 `ready`
 * - `env=NAME`: 200 with the variable's bytes; 404 if it isn't set
 * - `write=NAME.TEXT`: puts TEXT (`[a-z0-9]+`) into the file NAME (`[a-z0-9]+`) of its home directory; 200 `ok`
 * - `read=NAME`: 200 with that file; 404 if there is none
 * - `fill=NAME.BYTES`: puts so many zero bytes into the file NAME; 200 `ok`; 404 if there is no room, and then no such file
 * - `print=TEXT`: writes the line TEXT to stdout; 200 `ok`
 * - `exit=N`: ends the whole program with exit code N (0 to 99), with or without an answer
 *
 * On SIGTERM it looks at `$PROBE_TERM`: `linger` waits a second, puts `1` into the file `lingered` and exits 0;
 * `ignore` goes on; anything else exits 0 at once.
 */

/** The path that every question goes to. */
export const PROBE_PATH = '/cgi-bin/probe'

/** The workspace port that the kit declares and hands over as `PROBE_PORT`. */
export const PROBE_PORT = 7357

const nodeSource = `
const { createServer } = require('node:http')
const { readFileSync, rmSync, writeFileSync } = require('node:fs')
const env = process.env
const inHome = (name) => { if (!env.HOME) throw new Error('no home'); return env.HOME + '/' + name }
const answers = {
  ready: () => 'ready',
  env: (name) => env[name],
  write: (text) => { const [name, ...rest] = text.split('.'); writeFileSync(inHome(name), rest.join('.')); return 'ok' },
  read: (name) => { try { return readFileSync(inHome(name), 'utf8') } catch { return undefined } },
  fill: (text) => {
    const [name, bytes] = text.split('.')
    try { writeFileSync(inHome(name), Buffer.alloc(Number(bytes)), { flush: true }); return 'ok' }
    catch { rmSync(inHome(name), { force: true }) }
  },
  print: (text) => { console.log(text); return 'ok' },
  exit: (code) => { process.exit(Number(code)) },
}
process.on('SIGTERM', () => {
  if (env.PROBE_TERM === 'ignore') return
  if (env.PROBE_TERM !== 'linger') process.exit(0)
  setTimeout(() => { if (env.HOME) writeFileSync(inHome('lingered'), '1'); process.exit(0) }, 1000)
})
createServer((req, res) => {
  const [key, ...rest] = (req.url.split('?')[1] || '').split('=')
  const body = answers[key] ? answers[key](rest.join('=')) : undefined
  res.statusCode = body === undefined ? 404 : 200
  res.end(body === undefined ? '' : body)
}).listen(Number(env.PORT || env.PROBE_PORT))
`

/** A command that runs the probe with the given Node.js executable; needs no files. */
export function nodeProbe(node: string): readonly string[] {
  return [node, '-e', nodeSource]
}

const cgiSource = `#!/bin/sh
key="\${QUERY_STRING%%=*}"
value="\${QUERY_STRING#*=}"
say() { printf 'Status: 200 OK\\r\\nContent-Type: text/plain\\r\\n\\r\\n'; }
lack() { printf 'Status: 404 Not Found\\r\\nContent-Type: text/plain\\r\\n\\r\\n'; }
case "$key" in
  ready) say; printf ready ;;
  env) if eval "[ -n \\"\\\${$value+set}\\" ]"; then say; eval "printf %s \\"\\$$value\\""; else lack; fi ;;
  write) printf %s "\${value#*.}" > "$HOME/\${value%%.*}"; say; printf ok ;;
  read) if [ -f "$HOME/$value" ]; then say; cat "$HOME/$value"; else lack; fi ;;
  fill) if head -c "\${value#*.}" /dev/zero > "$HOME/\${value%%.*}"; then say; printf ok; else rm -f "$HOME/\${value%%.*}"; lack; fi ;;
  print) echo "$value" > "$PROBE_DIR/out"; say; printf ok ;;
  exit) echo "$value" > "$PROBE_DIR/exit"; kill -USR1 "$PROBE_PID" ;;
  *) lack ;;
esac
`

const shellSource = `
export PROBE_DIR="$HOME/.probe" PROBE_PID=$$
rm -rf "$PROBE_DIR"
mkdir -p "$PROBE_DIR/cgi-bin"
printf '%s' "$1" > "$PROBE_DIR/cgi-bin/probe"
chmod 755 "$PROBE_DIR/cgi-bin/probe"
mkfifo "$PROBE_DIR/out"
( while :; do cat "$PROBE_DIR/out"; done ) &
on_term() {
  case "$PROBE_TERM" in
    ignore) ;;
    linger) sleep 1; printf 1 > "$HOME/lingered"; exit 0 ;;
    *) exit 0 ;;
  esac
}
trap on_term TERM
trap 'exit "$(cat "$PROBE_DIR/exit")"' USR1
( trap '' TERM; exec busybox httpd -f -p "\${PORT:-$PROBE_PORT}" -h "$PROBE_DIR" ) &
server=$!
while kill -0 "$server" 2>/dev/null; do wait "$server"; done
`

/** A command that runs the probe with busybox (`sh` and `busybox` on its path, `$HOME` writable and executable). */
export function shellProbe(shell = '/bin/sh'): readonly string[] {
  return [shell, '-c', shellSource, 'probe', cgiSource]
}
