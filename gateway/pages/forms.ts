// Pure. What a form says comes in; the card with the form, which works without script, comes out.
import { type ApiCode, apiCodes, paths, type SignInProvider } from '../../control/wire/index.ts'
import type { Card } from './card.ts'
import { html, type Html } from './html.ts'

/** What was wrong with what was sent. */
export const errorLine = (error: string | null): Html | null =>
  error === null ? null : html`<p class="error" role="alert">${error}</p>`

/** Where somebody chooses the name that they will sign in with. */
export const newUsernameField = (username: string): Html =>
  html`<label
    >User name <small>small letters, digits, dot, hyphen</small
    ><input
      name="username"
      value="${username}"
      autocomplete="username"
      autocapitalize="none"
      spellcheck="false"
      required
      maxlength="40"
      autofocus
  /></label>`

/** Where somebody chooses a password. */
export const newPasswordField = (label: string): Html =>
  html`<label
    >${label} <small>at least 10 characters</small
    ><input
      type="password"
      name="password"
      autocomplete="new-password"
      required
      minlength="10"
      maxlength="1024"
  /></label>`

const providerLocation = (id: string, next: string): string =>
  `${paths.provider.replace(':id', encodeURIComponent(id))}?next=${encodeURIComponent(next)}`

/** The sign-in form; `next` is where it leads, a path of this host. */
export function signInCard(input: {
  next: string
  username: string
  error: string | null
  providers: readonly SignInProvider[]
}): Card {
  return {
    title: 'Sign in to Postern',
    lead: html`Your workspaces are behind this door.`,
    actions: html`${errorLine(input.error)}
      <form method="post" action="/sign-in">
        <input type="hidden" name="next" value="${input.next}" />
        <label
          >User name<input
            name="username"
            value="${input.username}"
            autocomplete="username"
            autocapitalize="none"
            spellcheck="false"
            required
            maxlength="200"
            ${input.username === '' ? html`autofocus` : ''}
        /></label>
        <label
          >Password<input
            type="password"
            name="password"
            autocomplete="current-password"
            required
            maxlength="1024"
            ${input.username === '' ? '' : html`autofocus`}
        /></label>
        <div class="wide"><button>Sign in</button></div>
      </form>
      ${
        input.providers.length > 0 &&
        html`<div class="others">
          ${input.providers.map(
            ({ id, name }) =>
              html`<a class="plain" href="${providerLocation(id, input.next)}">Sign in with ${name}</a>`,
          )}
        </div>`
      }`,
  }
}

/** A sign-in at a provider that came to nothing: the cause, and the ways on. */
export function providerCard(input: { code: ApiCode; detail: string | undefined; next: string }): Card {
  const { summary, hint } = apiCodes[input.code]
  return {
    title: summary.replace(/\.$/, ''),
    lead: html`${input.detail === undefined ? hint : `${input.detail} ${hint}`}`,
    actions: html`<div class="actions">
      <a class="button" href="${paths.signIn}?next=${encodeURIComponent(input.next)}">Back to the sign-in</a>
    </div>`,
  }
}

/** The form that makes the first administrator; the token came in the link. */
export function setupCard(input: {
  token: string
  username: string
  email: string
  error: string | null
}): Card {
  return {
    title: 'Set up Postern',
    lead: html`You make the first administrator. The link works once.`,
    actions: html`${errorLine(input.error)}
      <form method="post" action="/setup">
        <input type="hidden" name="token" value="${input.token}" />
        ${newUsernameField(input.username)} ${newPasswordField('Password')}
        <label
          >Email <small>optional</small
          ><input type="email" name="email" value="${input.email}" autocomplete="email" maxlength="254"
        /></label>
        <div class="wide"><button>Make the administrator</button></div>
      </form>`,
  }
}

/** There is an administrator already. */
export function setupClosedCard(): Card {
  return {
    title: 'Postern is set up already',
    lead: html`Sign in, or ask an administrator for an account.`,
    actions: html`<div class="actions"><a class="button" href="/sign-in">Sign in</a></div>`,
  }
}

/** The host that access is asked to: the one that the page is on, or the one that the visitor named; null: neither. */
export type AskedHost = 'own' | { readonly label: string } | null

/** The button of who found nothing for them on a host; it is there whatever is behind the host. */
export function askForm(host: Exclude<AskedHost, null>): Html {
  return html`<form method="post" action="/.postern/request-access" class="wide">
    ${host !== 'own' && html`<input type="hidden" name="host" value="${host.label}" />`}
    <button>Ask for access</button>
  </form>`
}

/** What a person is told who asked for access: one and the same, whatever is there. */
export function askedCard(name: string, publicOrigin: string): Card {
  return {
    title: 'Your request is on its way',
    lead: html`If there is a workspace <code>${name}</code>, those who may share it see that you asked. When
      one of them says yes, its address opens for you.`,
    actions: html`<div class="actions">
      <a class="button" href="${publicOrigin}/">Open the dashboard</a>
    </div>`,
  }
}

interface Asked {
  readonly name: string
  readonly label: string
  readonly challenge: string
}

const consentForm = ({ label, challenge }: Asked): Html =>
  html`<form method="post" action="/.postern/authorize">
    <input type="hidden" name="host" value="${label}" />
    <input type="hidden" name="c" value="${challenge}" />
    <div class="wide"><button>Open it</button></div>
  </form>`

/** Asks before a person is taken to code that somebody else wrote. */
export function consentCard(input: Asked & { readonly owner: string }): Card {
  return {
    title: `${input.name} belongs to ${input.owner}`,
    lead: html`What you open is made by ${input.owner}, and it will know who you are.`,
    actions: consentForm(input),
  }
}

/**
 * Asks an owner before a workspace comes to the origin that all have in common: theirs is also what others write into, or
 * have just given to them, and a page of one could open another unseen. `hostUrl` is where it would be by itself.
 */
export function pathConsentCard(input: Asked & { readonly hostUrl: string }): Card {
  return {
    title: `Open ${input.name} by path?`,
    lead: html`By path your workspaces share one address: what runs in ${input.name} can read and change
      whatever else you open by path. If you don’t trust it with that, open it on
      <a href="${input.hostUrl}">its own host</a>.`,
    actions: consentForm(input),
  }
}
