// What reached the app and what reached the visitor come in, with the expectation; each difference is noted on the stage.
import type { Expectation, Stage } from './torture-case.ts'
import type { TortureClient } from './torture-client.ts'
import { type Message, valuesOf } from './torture-messages.ts'
import { HONEST_PATH } from './torture-upstream.ts'

/** Fields that no app may ever see: they belong to a connection, or to nobody. */
const NEVER_AT_APP =
  /^(keep-alive|proxy-[a-z]+|http2-settings|expect|trailer|forwarded|x-real-ip|x-original-[a-z]+|remote-user):|^te:(?! *trailers$)|^upgrade:(?! *websocket$)|postern_session|postern_workspace/i
/** And no visitor. */
const NEVER_AT_VISITOR = /^(proxy-connection|x-postern-[a-z]+):|postern_(session|workspace)/i

/** Names as they were sent, where nobody between rewrites them. */
function has(stage: Stage, fields: readonly string[], wanted: string): boolean {
  const text = stage.fill(wanted)
  if (fields.includes(text)) return true
  const colon = text.indexOf(':')
  // The engine writes these two names itself.
  if (stage.front === 'bare' && !/^(host|content-length):/i.test(text)) return false
  return valuesOf({ fields }, text.slice(0, colon)).includes(text.slice(colon + 1).trim())
}

function judgeRequests(stage: Stage, wanted: Expectation): void {
  const requests = stage.upstream.requests.filter(({ path }) => path !== HONEST_PATH)
  if (wanted.lines !== undefined)
    stage.same(
      requests.map(({ line }) => line.slice(0, line.lastIndexOf(' '))),
      wanted.lines.map((line) => stage.fill(line)),
      'requests at the app',
    )
  for (const { fields, trailers, line } of stage.upstream.requests) {
    stage.same(valuesOf({ fields }, 'host').length, 1, `${line}: one Host`)
    const bad = [...fields, ...trailers].find(
      (field) => NEVER_AT_APP.test(field) || wanted.requestLacks?.test(field) === true,
    )
    stage.ok(bad === undefined, `${line}: the app got ${JSON.stringify(bad)}`)
  }
  const [first] = requests
  for (const field of wanted.requestHas ?? [])
    stage.ok(
      first !== undefined && has(stage, first.fields, field),
      `the app did not get ${stage.fill(field)}; got ${JSON.stringify(first?.fields)}`,
    )
  if (wanted.requestBody !== undefined)
    stage.same(first?.body, stage.fill(wanted.requestBody), 'body at the app')
  if (wanted.requestFraming !== undefined && wanted.requestFraming !== 'any')
    stage.same(first?.framing, wanted.requestFraming, 'framing at the app')
  if (wanted.connections !== undefined)
    stage.same(stage.upstream.connections.length, wanted.connections, 'connections to the app')
}

function judgeLast(stage: Stage, wanted: Expectation, last: Message | undefined): void {
  for (const field of wanted.answerHas ?? [])
    stage.ok(
      last !== undefined && has(stage, last.fields, field),
      `the visitor did not get ${stage.fill(field)}; got ${JSON.stringify(last?.fields)}`,
    )
  const lacking = wanted.answerLacks
  if (lacking !== undefined) {
    const bad = [...(last?.fields ?? []), ...(last?.trailers ?? [])].find((field) => lacking.test(field))
    stage.ok(bad === undefined, `the visitor got ${JSON.stringify(bad)}`)
  }
  if (wanted.reason !== undefined) stage.same(last?.line.slice(9), wanted.reason, 'status line')
  if (typeof wanted.body === 'string') stage.same(last?.body, stage.fill(wanted.body), 'body at the visitor')
  else if (wanted.body !== undefined)
    stage.ok(wanted.body.test(last?.body ?? ''), `body at the visitor: ${last?.body} against ${wanted.body}`)
  if (wanted.answerFraming !== undefined)
    stage.same(last?.framing, wanted.answerFraming, 'framing at the visitor')
  if (wanted.trailers !== undefined) stage.same(last?.trailers, wanted.trailers, 'trailers at the visitor')
}

function judgeStatuses(stage: Stage, wanted: Expectation, statuses: readonly number[]): void {
  if (wanted.refusal === true && stage.front !== 'bare')
    stage.ok(
      statuses.length <= 1 && statuses.every((status) => status >= 400),
      `refused: ${statuses.join() || 'closed'}`,
    )
  else if (wanted.statuses !== undefined) stage.same(statuses, wanted.statuses, 'statuses')
}

/** Notes every difference from what was expected. */
export function judge(
  stage: Stage,
  wanted: Expectation,
  client: TortureClient,
  answers: readonly Message[],
): void {
  stage.same(client.reader.fault, null, 'what reached the visitor is HTTP')
  judgeStatuses(
    stage,
    wanted,
    answers.map(({ line }) => Number(line.slice(9, 12))),
  )
  for (const { fields } of answers) {
    const bad = fields.find((field) => NEVER_AT_VISITOR.test(field))
    stage.ok(bad === undefined, `the visitor got ${JSON.stringify(bad)}`)
  }
  const last = answers.at(-1)
  const isCut = last !== undefined && !last.whole && last.framing !== 'tunnel'
  stage.same(isCut, wanted.cut === true, 'the last answer is cut')
  judgeRequests(stage, wanted)
  judgeLast(stage, wanted, last)
}
