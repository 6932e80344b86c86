// Request smuggling (RFC 9112 §11.2): the whole corpus through each chain; nobody gets what is another's.
import t from 'tap'
import { attacks } from '../support/desync-corpus.ts'
import { runCorpus } from '../support/desync-run.ts'
import { missingFront } from '../support/fronts-start.ts'
import { world } from '../support/torture-run.ts'

const LINE_FEEDS = 'a request after lone line feeds in a value'

/** What a front reads more kindly than the letter: as two requests of one visitor, each with its own answer. */
const asTwo: Record<'bare' | 'nginx' | 'caddy' | 'haproxy', readonly string[]> = {
  bare: [],
  // It drops fields whose names it doesn't like, and ends lines by a line feed.
  nginx: ['TE.CL \xefTransfer-Encoding: chunked', LINE_FEEDS],
  // Go drops a length beside a coding, as RFC 9112 §6.3 allows, unfolds fields, and ends lines by a line feed.
  caddy: [
    'CL.TE Connection: Content-Length\\r\\nTransfer-Encoding: chunked',
    'CL.TE Connection: Transfer-Encoding\\r\\nTransfer-Encoding: chunked',
    'CL.TE TRANSFER-ENCODING: CHUNKED',
    'CL.TE Transfer-Encoding: chunked',
    'CL.TE Transfer-Encoding: chunked\\t',
    'CL.TE Transfer-Encoding:\\r\\n chunked',
    'CL.TE Transfer-Encoding:\\tchunked',
    'CL.TE X-A: 1\\nTransfer-Encoding: chunked',
    'CL.TE transfer-encoding:chunked',
    LINE_FEEDS,
  ],
  // It unfolds a field into the Host before it, and ends lines by a line feed.
  haproxy: ['CL.0 GET  Content-Length: {n}', 'CL.0 POST  Content-Length: {n}', LINE_FEEDS],
}

for (const front of ['bare', 'nginx', 'caddy', 'haproxy'] as const)
  t.test(
    `${attacks.length} attacks, ${front}`,
    { skip: front === 'bare' ? false : (missingFront(front) ?? false) },
    async (t) => {
      const here = await world(t, front)
      for (const engine of ['undici', 'compat'] as const) {
        const outcome = await runCorpus(here, engine)
        t.same(outcome.problems, [], `${front}, ${engine}`)
        t.comment(`${outcome.asTwo.length} attacks are two requests of one visitor to ${front}`)
        t.same(outcome.asTwo, asTwo[front], `read as two by ${front}, ${engine}`)
      }
      t.same(here.edge.log.lines, [])
    },
  )
