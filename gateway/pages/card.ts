// Pure. What there is to say comes in; one page with one card comes out: under 12 kB, no script, its style under a CSP hash.
import { createHash } from 'node:crypto'
import { html, Html } from './html.ts'

/** One line of a card's list; the state is said by shape and colour, and by its words. */
export interface Step {
  readonly state: 'done' | 'wait' | 'off' | 'bad'
  readonly text: string
  readonly note?: string
}

/** A page of the edge: what is so, the steps or the one next action, and in small print why. */
export interface Card {
  readonly title: string
  readonly lead: Html
  readonly steps?: readonly Step[]
  readonly actions?: Html
  readonly small?: readonly string[]
  /** Its field `token` is filled with what is behind `#` in the address. */
  readonly fillsFromFragment?: true
  /** The page is asked for again after so many seconds. */
  readonly refreshSeconds?: number
  /** Where the browser goes on to by itself: an address of another site, to which a form may not lead. */
  readonly goesTo?: string
}

const STYLE = `
:root{color-scheme:light dark;--bg:light-dark(#f7f7f5,#171819);--panel:light-dark(#fff,#1d2022);--field:light-dark(#f7f7f5,#171819);--line:light-dark(#dcddd8,#2f3336);--line-strong:light-dark(#8a9093,#6c7376);--text:light-dark(#1c1f20,#e9eaea);--dim:light-dark(#555c5f,#a6acaf);--faint:light-dark(#62696c,#8f9699);--accent:light-dark(#0f766e,#2dd4bf);--on-accent:light-dark(#fff,#0a201d);--ok:light-dark(#15803d,#4ade80);--wait:light-dark(#a84d08,#fbbf24);--bad:light-dark(#b91c1c,#f87171);--bad-soft:light-dark(#fbeceb,#33201f)}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;min-height:100dvh;display:grid;place-items:center;padding:24px 16px;background:var(--bg);color:var(--text);font:14px/1.45 system-ui,sans-serif}
main{width:100%;max-width:440px}
svg{display:block;width:44px;height:44px;color:var(--accent)}
h1{margin:20px 0 8px;font-size:20px;line-height:1.3;font-weight:650;overflow-wrap:anywhere}
p{margin:0;color:var(--dim);overflow-wrap:anywhere}
code{font:12.5px/1.4 ui-monospace,monospace;color:var(--text)}
ul{list-style:none;margin:20px 0 0;padding:0;background:var(--panel);border:1px solid var(--line);border-radius:8px}
li{display:flex;align-items:baseline;gap:12px;padding:8px 16px;overflow-wrap:anywhere}
li:first-child{padding-top:12px}
li:last-child{padding-bottom:12px}
li span{margin-left:auto;color:var(--faint);white-space:nowrap}
li i{flex:none;width:10px;height:10px;border-radius:50%;align-self:center;border:2px solid var(--line-strong)}
li i.done{background:var(--ok);border-color:var(--ok)}
li i.wait{border-color:var(--wait);border-right-color:transparent;animation:turn 1s linear infinite}
li i.bad{background:var(--bad);border-color:var(--bad);border-radius:2px}
@keyframes turn{to{transform:rotate(1turn)}}
@media(prefers-reduced-motion:reduce){li i.wait{animation:none}}
.actions{display:flex;flex-wrap:wrap;align-items:center;gap:8px 16px;margin-top:20px}
form{margin:20px 0 0}
.actions form{margin:0}
label{display:block;margin:0 0 16px;font-weight:550}
label small{font-weight:400;color:var(--faint)}
input{display:block;width:100%;margin-top:4px;padding:8px 12px;min-height:40px;font:inherit;font-weight:400;color:var(--text);background:var(--panel);border:1px solid var(--line-strong);border-radius:6px}
button,a.button{display:inline-block;padding:8px 16px;min-height:36px;font:inherit;font-weight:600;color:var(--on-accent);background:var(--accent);border:1px solid var(--accent);border-radius:6px;cursor:pointer;text-decoration:none}
a{color:var(--accent);text-underline-offset:3px}
a.plain{display:inline-block;padding:7px 16px;color:var(--text);background:var(--panel);border:1px solid var(--line);border-radius:6px;text-decoration:none}
.others{display:grid;gap:8px;margin-top:20px;padding-top:20px;border-top:1px solid var(--line)}
.others .plain{text-align:center}
button.plain{font-weight:400;color:var(--text);background:var(--panel);border-color:var(--line)}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
.error{margin:16px 0 0;padding:8px 12px;color:var(--text);background:var(--bad-soft);border-left:3px solid var(--bad);border-radius:6px}
.small{margin-top:20px;font-size:12px;color:var(--faint)}
.small p{color:inherit}
.small code{font-size:11.5px;color:inherit}
@media(max-width:560px){button,a.button{min-height:44px;padding:10px 20px}.wide,.wide button,a.plain{width:100%;text-align:center}.others a.plain{padding:11px 16px}input{min-height:44px;font-size:16px}}
`

const MARK = new Html(
  '<svg viewBox="0 0 44 44" fill="none" stroke="currentColor" stroke-width="2.4" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d="M6 39V19Q6 3 22 3T38 19V39Z"/><path d="M15 39V24Q15 16 22 16T29 24V39"/><circle cx="25.4" cy="30" r="1.3" fill="currentColor" stroke="none"/></svg>',
)

// One value, hash and element: a blank between them would turn the style off.
const STYLE_ELEMENT = new Html(`<style>${STYLE}</style>`)
const STYLE_HASH = createHash('sha256').update(STYLE).digest('base64')

// What a link says behind `#` stays in the browser until the form is sent, and goes from the address, so that it is in no
// history that another page of this host could read.
const FILL = `const i=document.querySelector('input[name=token]'),t=location.hash.slice(1)
if(i&&t&&i.type!=='hidden'){i.value=t;i.closest('label').style.display='none';history.replaceState(null,'',location.pathname+location.search)}`
const FILL_ELEMENT = new Html(`<script>${FILL}</script>`)
const FILL_HASH = createHash('sha256').update(FILL).digest('base64')

/** The Content-Security-Policy of a page; forms may lead to the origins given (Chromium checks redirects after a form too). */
export function cardPolicy(formOrigins: readonly string[], card: Pick<Card, 'fillsFromFragment'>): string {
  const script = card.fillsFromFragment === true ? ` script-src 'sha256-${FILL_HASH}';` : ''
  const targets = ["'self'", ...formOrigins].join(' ')
  return `default-src 'none'; style-src 'sha256-${STYLE_HASH}';${script} form-action ${targets}; base-uri 'none'; frame-ancestors 'none'`
}

const stepWords: Readonly<Record<Step['state'], string>> = {
  done: 'done',
  wait: 'in progress',
  off: 'off',
  bad: 'failed',
}

function stepLine(step: Step): Html {
  return html`<li>
    <i class="${step.state}" role="img" aria-label="${stepWords[step.state]}"></i>${step.text}${
      step.note !== undefined && html`<span>${step.note}</span>`
    }
  </li>`
}

/** The whole document of a card. */
export function cardPage(card: Card, requestId: string): string {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="robots" content="noindex" />
        ${card.refreshSeconds !== undefined && html`<meta http-equiv="refresh" content="${card.refreshSeconds}" />`}
        ${card.goesTo !== undefined && html`<meta http-equiv="refresh" content="0; url=${card.goesTo}" />`}
        <title>${card.title}</title>
        ${STYLE_ELEMENT}
      </head>
      <body>
        <main>
          ${MARK}
          <h1>${card.title}</h1>
          <p>${card.lead}</p>
          ${
            card.steps !== undefined &&
            html`<ul>
              ${card.steps.map(stepLine)}
            </ul>`
          }
          ${card.actions}
          <div class="small">
            ${(card.small ?? []).map((line) => html`<p>${line}</p>`)}
            <p>Request <code>${requestId}</code></p>
          </div>
        </main>
        ${card.fillsFromFragment === true && FILL_ELEMENT}
      </body>
    </html> `.markup.replace(/>\s+</g, '><')
}
