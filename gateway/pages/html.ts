// Pure. Text comes in; HTML in which no text can become markup comes out.

/** Markup that is safe to put into a page. */
export class Html {
  readonly markup: string
  constructor(markup: string) {
    this.markup = markup
  }
}

const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

function markupOf(value: unknown): string {
  if (value === null || value === undefined || value === false) return ''
  if (value instanceof Html) return value.markup
  if (Array.isArray(value)) return value.map(markupOf).join('')
  return String(value).replace(/[&<>"']/g, (char) => escapes[char] as string)
}

/** A template whose values are escaped unless they are Html; null, undefined and false leave nothing. */
export function html(parts: TemplateStringsArray, ...values: readonly unknown[]): Html {
  return new Html(
    parts.reduce((markup, part, i) => markup + part + (i < values.length ? markupOf(values[i]) : ''), ''),
  )
}
