// Pure. The value of a traceparent field comes in; trace, parent and flags come out, or null (W3C Trace Context, level 1).

/** What one end tells the next of a trace. */
export interface TraceContext {
  /** 32 small hexadecimal digits, not all nought. */
  readonly traceId: string
  /** 16 of them. */
  readonly spanId: string
  /** 0 to 255; bit 0: sampled. */
  readonly flags: number
}

const PARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/

/** Reads a traceparent. Versions after 00 may have more behind; `ff` and ids of noughts are nothing. */
export function readTraceparent(value: string): TraceContext | null {
  const match = PARENT.exec(value)
  if (match === null) return null
  const [, version, traceId = '', spanId = '', flags = '', more] = match
  if (version === 'ff' || (version === '00' && more !== undefined)) return null
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return null
  return { traceId, spanId, flags: Number.parseInt(flags, 16) }
}

/** The value of a traceparent, version 00; of the flags only `sampled` is known there. */
export function traceparentOf({ traceId, spanId, flags }: TraceContext): string {
  return `00-${traceId}-${spanId}-${(flags & 1) === 1 ? '01' : '00'}`
}

export const isSampled = ({ flags }: TraceContext): boolean => (flags & 1) === 1
