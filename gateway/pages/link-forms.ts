// Pure. What a one-time link says comes in; the card with its form comes out. The link's secret is behind `#`, where no server and no log sees it.
import type { SignInProvider } from '../../control/wire/index.ts'
import type { Card } from './card.ts'
import { errorLine, newPasswordField, newUsernameField } from './forms.ts'
import { html, type Html } from './html.ts'

/** Without script, a person copies the secret from the address themselves. */
const tokenField = (token: string): Html =>
  token === ''
    ? html`<label
        >Code <small>what is behind # in your link</small
        ><input
          name="token"
          autocomplete="off"
          autocapitalize="none"
          spellcheck="false"
          required
          maxlength="200"
      /></label>`
    : html`<input type="hidden" name="token" value="${token}" />`

/** The form that sets a new password. */
export function resetCard(input: { token: string; error: string | null }): Card {
  return {
    title: 'Set a new password',
    lead: html`It takes the place of the old one and signs you in here; everywhere else you are signed out.`,
    fillsFromFragment: true,
    actions: html`${errorLine(input.error)}
      <form method="post" action="/reset">
        ${tokenField(input.token)} ${newPasswordField('New password')}
        <div class="wide"><button>Set the password</button></div>
      </form>`,
    small: ['The link works once.'],
  }
}

/** The form by which somebody who was invited becomes a user. */
export function invitationCard(input: {
  token: string
  username: string
  error: string | null
  providers: readonly SignInProvider[]
}): Card {
  const providers = input.providers.filter(({ invites }) => invites)
  return {
    title: 'You are invited to Postern',
    lead: html`Choose the name and the password that you will sign in
    with${providers.length > 0 && ', or join by an account that you have elsewhere'}.`,
    fillsFromFragment: true,
    actions: html`${errorLine(input.error)}
      <form method="post" action="/invitation">
        ${tokenField(input.token)} ${newUsernameField(input.username)} ${newPasswordField('Password')}
        <div class="wide"><button>Join</button></div>
        ${
          providers.length > 0 &&
          html`<div class="others">
            ${providers.map(
              ({ id, name }) =>
                html`<button class="plain" name="provider" value="${id}" formnovalidate>
                  Join with ${name}
                </button>`,
            )}
          </div>`
        }
      </form>`,
    small: ['The link works once.'],
  }
}

/** Takes a browser on to a provider: a form may lead to this site only, a page may lead anywhere. */
export function leavingCard(name: string, location: string): Card {
  return {
    title: `On to ${name}`,
    lead: html`You come back here when you have signed in there.`,
    goesTo: location,
    actions: html`<div class="actions"><a class="button" href="${location}">Go on</a></div>`,
  }
}

/** A link that opens nothing any more. */
export function deadLinkCard(detail: string): Card {
  return {
    title: 'This link does not work any more',
    lead: html`${detail}`,
    actions: html`<div class="actions"><a class="button" href="/sign-in">Sign in</a></div>`,
  }
}
