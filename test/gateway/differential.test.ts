/**
 * The two engines, side by side: the same fuzzed exchanges go through both, and what the program and the visitor get must
 * be the same, but for the differences listed here. `POSTERN_FUZZ_SECONDS` (default: 15, at most 500 exchanges) makes it
 * longer, `POSTERN_FUZZ_SEED` another; a failure says its seed and the smallest exchange that shows it.
 */
import t from 'tap'
import fc from 'fast-check'
import { caseOf, type FuzzedCase, headBytes } from '../support/differential-case.ts'
import { anyCase } from '../support/differential-chance.ts'
import { type EngineUnderTest, type Message, type Outcome, startEngine } from '../support/differential-run.ts'

interface Difference {
  readonly name: string
  readonly why: string
  /** An exchange that shows it. */
  readonly example: FuzzedCase
  /** The same for both, where only this differs. */
  readonly alike?: (outcome: Outcome, given: FuzzedCase) => Outcome
  /** Whether an exchange shows it is a matter of time. */
  readonly isChance?: true
  /** True for what a visitor may get differently; what the program gets may not. */
  readonly may?: (given: FuzzedCase, strict: Outcome, lenient: Outcome) => boolean
}

const seen = (outcome: Outcome, change: (message: Message) => Message): Outcome => ({
  ...outcome,
  seen: outcome.seen.map(change),
})
const keep = (message: Message, isKept: (field: string) => boolean): Message => ({
  ...message,
  fields: message.fields.filter(isKept),
})
const FRAMING = /^(host|connection|content-length|transfer-encoding|upgrade):/i

const headOf = (given: FuzzedCase): string => headBytes(given).toString('latin1')
const broke = ({ got }: Outcome): boolean => got === 'own 502' || got === 'cut'
/** The strict engine refuses it, wholly or half-way. */
const forgiven =
  (isSo: (given: FuzzedCase) => boolean) =>
  (given: FuzzedCase, strict: Outcome): boolean =>
    broke(strict) && isSo(given)

const differences: readonly Difference[] = [
  {
    name: 'case and place of Host, Connection and framing',
    why: 'undici writes those fields itself, small and first or last; Node writes them where they were',
    example: caseOf({}),
    alike: (outcome) =>
      seen(outcome, (message) => ({
        ...message,
        fields: [
          ...message.fields
            .filter((field) => FRAMING.test(field))
            .map((field) => field.toLowerCase())
            .sort(),
          ...message.fields.filter((field) => !FRAMING.test(field)),
        ],
      })),
  },
  {
    name: 'Connection: close on HEAD',
    why: 'undici keeps no connection on which it sent HEAD',
    example: caseOf({ method: 'HEAD' }),
    alike: (outcome) =>
      seen(outcome, (message) => keep(message, (field) => !/^connection: (close|keep-alive)$/.test(field))),
  },
  {
    name: 'no body, said or not',
    why: 'undici sends an empty chunked body as a length of 0, or not at all, and leaves a 0 out where the method expects no body',
    example: caseOf({ method: 'PUT', body: 'chunked' }),
    alike: (outcome) =>
      seen(outcome, (message) =>
        message.body !== '|' && message.body !== ''
          ? message
          : keep(
              { ...message, body: '' },
              (field) => !/^(transfer-encoding: chunked|content-length: 0)$/.test(field),
            ),
      ),
  },
  {
    name: 'blanks at the end of a value',
    why: 'undici hands them on, Node cuts them off; they are no part of the value (RFC 9110 §5.5)',
    example: caseOf({}, { lines: ['X-Blanks: \t a  b \t'] }),
    alike: (outcome) => ({
      ...outcome,
      answers: outcome.answers.map((message) => ({
        ...message,
        fields: message.fields.map((field) => field.replace(/[ \t]+$/, '')),
      })),
    }),
  },
  {
    name: 'words of the edge',
    why: 'only the strict engine advises to mark the port lenient; ports and ids are others each time',
    example: caseOf({}, { line: 'nonsense' }),
    alike: (outcome) => (outcome.got.startsWith('own') ? { ...outcome, answers: [], after: '' } : outcome),
  },
  {
    name: 'how much there was of half an answer',
    isChance: true,
    why: 'when the end is known to be missing, what came before it may have left or not',
    example: caseOf({}, { framing: 'cut', chunks: ['a', 'b'], splits: [0.7], end: 'fin' }),
    alike: (outcome) => (outcome.got === 'cut' ? { ...outcome, answers: [] } : outcome),
  },
  {
    name: 'how much there was of a body that is answered early',
    isChance: true,
    why: 'the rest is not sent',
    example: caseOf({ method: 'POST', body: 'length', chunks: ['x'.repeat(60)] }, { early: true }),
    alike: (outcome, given) =>
      given.answer.early ? seen(outcome, (message) => ({ ...message, body: '' })) : outcome,
  },
  {
    name: 'line feeds alone',
    why: 'what lenient is for',
    example: caseOf({}, { eol: '\n' }),
    may: forgiven((given) => /(?<!\r)\n/.test(headOf(given))),
  },
  {
    name: 'folded fields',
    why: 'what lenient is for: a fold becomes a space',
    example: caseOf({}, { lines: ['X-Fold: one\r\n two'] }),
    may: forgiven((given) => /\n[ \t]/.test(headOf(given))),
  },
  {
    name: 'control bytes in a field',
    why: 'what lenient is for: they become spaces',
    example: caseOf({}, { lines: ['X-Control: a\x01b'] }),
    may: forgiven((given) =>
      /[\0-\x08\x0b-\x1f\x7f]/.test((headOf(given) + given.answer.trailers.join('')).replaceAll('\r\n', '')),
    ),
  },
  {
    name: 'a length beside chunked',
    why: 'what lenient is for: the coding counts and the length goes (RFC 9112 §6.3)',
    example: caseOf({}, { framing: 'both', end: 'fin' }),
    may: forgiven(
      (given) => /\ncontent-length:/i.test(headOf(given)) && /\ntransfer-encoding:/i.test(headOf(given)),
    ),
  },
  {
    name: 'blanks in a chunk’s size, and no end of line after its bytes',
    why: 'what lenient is for',
    example: caseOf({}, { framing: 'odd-chunks', end: 'fin' }),
    may: forgiven(({ answer }) => answer.framing === 'odd-chunks'),
  },
  {
    name: 'an unasked 100',
    why: 'undici takes one only where it was asked for, which is never',
    example: caseOf({}, { interim: ['HTTP/1.1 100 Continue'] }),
    may: forgiven(({ answer }) => answer.interim.some((head) => head.includes(' 100 '))),
  },
  {
    name: 'a body where none may be',
    why: 'what lenient is for: some frameworks send a length, or bytes, with 204 and 304',
    example: caseOf({}, { line: 'HTTP/1.1 204 No Content', end: 'fin' }),
    may: forgiven(({ answer, request }) => / (204|304) /.test(answer.line) || request.method === 'HEAD'),
  },
  {
    name: 'fields in trailers that frame',
    why: 'what lenient is for; they are dropped either way',
    example: caseOf({}, { framing: 'chunked', trailers: ['Content-Length: 9'], end: 'fin' }),
    may: forgiven(({ answer }) => answer.trailers.some((one) => /^content-length/i.test(one))),
  },
  {
    name: 'bytes after the end of an answer',
    isChance: true,
    why: 'the answer was whole; what follows ends the connection, and may be seen before its end is',
    example: caseOf({}, { framing: 'long', chunks: ['abc'], end: 'fin' }),
    may: ({ answer }, strict, lenient) => answer.framing === 'long' && (broke(strict) || broke(lenient)),
  },
  {
    name: 'a reset',
    isChance: true,
    why: 'it destroys what the other side has not read yet: which bytes that is, is chance',
    example: caseOf({}, { end: 'reset', chunks: ['x'.repeat(50)] }),
    may: ({ answer }, strict, lenient) => answer.end === 'reset' && (broke(strict) || broke(lenient)),
  },
  {
    name: 'half an answer to HTTP/1.0',
    isChance: true,
    why: 'it has no mark of its end there: what was sent of it looks whole',
    example: caseOf({ version: '1.0' }, { framing: 'cut', chunks: ['a', 'b'], splits: [0.7], end: 'fin' }),
    may: ({ request }, strict) =>
      request.version === '1.0' &&
      strict.answers.at(-1)?.fields.some((field) => /^content-length:/i.test(field)) !== true,
  },
  {
    name: 'when a broken body is noticed',
    isChance: true,
    why: 'before the head has left it is a 502, after it a cut',
    example: caseOf({}, { framing: 'short', end: 'fin' }),
    may: (_given, strict, lenient) => broke(strict) && broke(lenient),
  },
]

const UPGRADED = ['Upgrade: websocket', 'Connection: Upgrade', 'Transfer-Encoding: gzip']

const used = new Map<string, number>()

/** What is not alike, and not listed; null: nothing. */
function unlisted(given: FuzzedCase, one: Outcome, other: Outcome): string | null {
  let [strict, lenient] = [one, other]
  for (const { name, alike } of differences) {
    if (alike === undefined) continue
    const before = JSON.stringify(strict) === JSON.stringify(lenient)
    const made = [alike(strict, given), alike(lenient, given)] as const
    const changed = made.map((outcome, i) => JSON.stringify(outcome) !== JSON.stringify([strict, lenient][i]))
    if (!before && (changed[0] || changed[1])) used.set(name, (used.get(name) ?? 0) + 1)
    ;[strict, lenient] = made
  }
  const [a, b] = [JSON.stringify(strict), JSON.stringify(lenient)]
  if (a === b) return null
  const isSeenAlike = JSON.stringify(strict.seen) === JSON.stringify(lenient.seen)
  const found = isSeenAlike && differences.find(({ may }) => may?.(given, strict, lenient) === true)
  if (found === false || found === undefined) return `${JSON.stringify(given)}\nstrict:  ${a}\nlenient: ${b}`
  used.set(found.name, (used.get(found.name) ?? 0) + 1)
  return null
}

async function compare(engines: readonly [EngineUnderTest, EngineUnderTest], given: FuzzedCase) {
  const [strict, lenient] = await Promise.all([engines[0].run(given), engines[1].run(given)])
  return unlisted(given, strict, lenient)
}

t.test('both engines do the same, but for what is listed', { timeout: 3_600_000 }, async (t) => {
  const engines = await Promise.all([startEngine(t, false), startEngine(t, true)])
  const coded = caseOf({ upgrade: true }, { line: 'HTTP/1.1 101 Ok', lines: UPGRADED, framing: 'close' })
  t.equal(await compare(engines, coded), null, 'a 101 in a coding is no end of the process')
  for (const { name, example } of differences) {
    const wrong = await compare(engines, example)
    t.equal(wrong, null, name)
  }
  const long = Number(process.env.POSTERN_FUZZ_SECONDS ?? 0)
  const seed = Number(process.env.POSTERN_FUZZ_SEED ?? 1)
  const details = await fc.check(
    fc.asyncProperty(anyCase, async (given) => {
      const wrong = await compare(engines, given)
      if (wrong !== null) throw new Error(wrong)
    }),
    {
      seed,
      numRuns: long > 0 ? 1_000_000 : 500,
      interruptAfterTimeLimit: (long > 0 ? long : 15) * 1000,
      markInterruptAsFailure: false,
    },
  )
  t.notOk(details.failed, fc.defaultReportMessage(details) ?? `seed ${seed}`)
  t.comment(`${details.numRuns} exchanges by seed ${seed}`)
  for (const { name, isChance } of differences)
    if (isChance !== true) t.ok(used.has(name), `the list’s “${name}” is still a difference`)
    else if (!used.has(name)) t.comment(`“${name}” was not seen this time`)
  t.same(
    engines.flatMap(({ logged }) => logged),
    [],
    'nothing was logged',
  )
})
