// Pure. A label or a path comes in; the cards of links and passwords come out.
import type { Card } from './card.ts'
import { html } from './html.ts'

/** The page with the one button that uses a link. */
export function linkCard(label: string): Card {
  return {
    title: `You were sent a link to ${label}`,
    lead: html`Opening it counts as one use. What you open is made by whoever sent it.`,
    actions: html`<form method="post" action="/.postern/link">
      <label
        >The whole link<input
          name="token"
          autocomplete="off"
          autocapitalize="none"
          spellcheck="false"
          required
          maxlength="600"
      /></label>
      <div class="wide"><button>Open it</button></div>
    </form>`,
    fillsFromFragment: true,
  }
}

/** The link opens nothing, or nothing any more. */
export function linkOverCard(code: 'link_unknown' | 'link_over', detail: string): Card {
  return code === 'link_unknown'
    ? {
        title: 'This link opens nothing',
        lead: html`It isn’t whole, or it was revoked. Ask whoever sent it for a new one.`,
      }
    : {
        title: 'This link is over',
        lead: html`${detail} Ask whoever sent it for a new one.`,
      }
}

/** The form for the password before a port; `to` is where it leads, a path of this host. */
export function passwordCard(to: string, error: string | null): Card {
  return {
    title: 'A password, please',
    lead: html`Whoever shared this with you set a password. It is asked for once in this browser.`,
    actions: html`${error !== null && html`<p class="error" role="alert">${error}</p>`}
      <form method="post" action="/.postern/password">
        <input type="hidden" name="to" value="${to}" />
        <label
          >Password<input
            type="password"
            name="password"
            autocomplete="off"
            required
            maxlength="200"
            autofocus
        /></label>
        <div class="wide"><button>Go on</button></div>
      </form>`,
  }
}
