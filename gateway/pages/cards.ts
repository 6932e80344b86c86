// Pure. A decision, a failure or a code comes in; the card that says so comes out.
import { type ApiCode, apiCodes, type EdgeRoute } from '../../control/wire/index.ts'
import type { WorkspacePlace } from '../host/host.ts'
import type { Card, Step } from './card.ts'
import { askForm, type AskedHost } from './forms.ts'
import { html, type Html } from './html.ts'

/** What a card on a workspace's host knows. */
export interface WorkspaceCardInput {
  readonly route: EdgeRoute
  /** The visitor may start and stop it. */
  readonly maySteer: boolean
  /** The port that was asked for, where that is known. */
  readonly port: number | null
  /** The path to come back to, as the visitor's browser has it. */
  readonly target: string
  /** What the edge's own paths are below: '' on a workspace's host. */
  readonly prefix: string
  readonly publicOrigin: string
}

const SHOWN_PATH_MAX = 80
const shown = (path: string): string =>
  path.length > SHOWN_PATH_MAX ? `${path.slice(0, SHOWN_PATH_MAX)}…` : path

function details(input: WorkspaceCardInput, text: string): Html | false {
  return (
    input.maySteer &&
    html`<a class="plain" href="${input.publicOrigin}/workspaces/${encodeURIComponent(input.route.name)}"
      >${text}</a
    >`
  )
}

function startForm(input: WorkspaceCardInput, label: string): Html | false {
  return (
    input.maySteer &&
    html`<form method="post" action="${input.prefix}/.postern/start" class="wide">
      <input type="hidden" name="back" value="${input.target}" /><button>${label}</button>
    </form>`
  )
}

const actions = (...parts: readonly (Html | false)[]): Html => html`<div class="actions">${parts}</div>`

const reasonLines = (route: EdgeRoute, maySteer: boolean): string[] =>
  maySteer && route.reason !== '' ? [route.reason] : []

const startingSteps: Readonly<Record<string, readonly Step[]>> = {
  pending: [
    { state: 'wait', text: 'Waiting for a host' },
    { state: 'off', text: 'Program started' },
  ],
  pulling: [
    { state: 'done', text: 'Placed on a host' },
    { state: 'wait', text: 'Getting its image' },
    { state: 'off', text: 'Program started' },
  ],
  building: [
    { state: 'done', text: 'Placed on a host' },
    { state: 'wait', text: 'Building its image' },
    { state: 'off', text: 'Program started' },
  ],
  starting: [
    { state: 'done', text: 'Placed on a host' },
    { state: 'wait', text: 'Starting its program' },
  ],
  running: [
    { state: 'done', text: 'Placed on a host' },
    { state: 'done', text: 'Program started' },
  ],
}

/** The workspace is on its way, or runs and its port doesn't listen yet; the page goes on by itself. */
export function wakingCard(input: WorkspaceCardInput): Card {
  const { route, port } = input
  const steps = startingSteps[route.phase] ?? []
  const where = port === null ? '' : ` on port ${port}`
  return {
    title: `${route.name} is waking up`,
    lead: html`You will be taken to <code>${shown(input.target)}</code> when it answers${where}.`,
    steps:
      port === null
        ? steps
        : [...steps, { state: route.phase === 'running' ? 'wait' : 'off', text: `Waiting for port ${port}` }],
    actions: actions(details(input, 'Show details')),
    small: reasonLines(route, input.maySteer),
    refreshSeconds: 1,
  }
}

/** The workspace doesn't run. */
export function stoppedCard(input: WorkspaceCardInput): Card {
  const { route, maySteer } = input
  const small = reasonLines(route, maySteer)
  switch (route.phase) {
    case 'trashed':
      return {
        title: `${route.name} is in the trash`,
        lead: html`Nothing of it is lost yet. Restore it in the dashboard to use it again.`,
        actions: actions(details(input, 'Open the dashboard')),
        small,
      }
    case 'removing':
      return {
        title: `${route.name} is being removed`,
        lead: html`There is nothing left to open here.`,
        small,
      }
    case 'failed':
      return {
        title: `${route.name} has failed`,
        lead: maySteer
          ? html`${route.reason || 'Its program ended.'}`
          : html`Ask its owner to start it again.`,
        steps: [{ state: 'bad', text: 'Failed' }],
        actions: actions(startForm(input, 'Start again'), details(input, 'Show details')),
      }
    case 'stopping':
      return {
        title: `${route.name} is stopping`,
        lead: html`Its data stays.
        ${maySteer ? 'You can start it again at once.' : 'Ask its owner to start it.'}`,
        steps: [{ state: 'wait', text: 'Stopping' }],
        actions: actions(startForm(input, 'Start'), details(input, 'Show details')),
        small,
      }
    default:
      return {
        title: `${route.name} is stopped`,
        lead: maySteer
          ? html`Start it, and you will be taken to <code>${shown(input.target)}</code> when it answers.`
          : html`Ask its owner to start it.`,
        steps: [{ state: 'off', text: 'Stopped' }],
        actions: actions(startForm(input, 'Start'), details(input, 'Show details')),
        small,
      }
  }
}

/** The workspace has no default app. */
export function noDefaultPortCard(input: WorkspaceCardInput, siblingUrl: (port: number) => string): Card {
  const { route } = input
  const [first] = route.ports
  return {
    title: `${route.name} has no default app`,
    lead: html`Name a port in the address: <code>${siblingUrl(first?.port ?? 3000)}</code>. The first port
      that its spec declares becomes the default app.`,
    actions: actions(details(input, 'Change its ports')),
  }
}

/** The program failed the request; `detail` says how, and which setting of the port would help. */
export function failureCard(input: WorkspaceCardInput, code: ApiCode, detail?: string): Card {
  const { route, port } = input
  switch (code) {
    case 'upstream_unreachable':
      return {
        title: `Nothing answers on port ${port}`,
        lead: html`${route.name} runs, but no program in it listens on port ${port}. Start yours so that it
          listens on <code>0.0.0.0:${port}</code>, then load this page again.`,
        steps: [
          { state: 'done', text: `${route.name} runs` },
          { state: 'bad', text: `Port ${port}`, note: 'nothing listens' },
        ],
        actions: actions(details(input, 'Show details')),
      }
    case 'upstream_timeout':
      return {
        title: `Port ${port} does not answer in time`,
        lead: html`The program on port ${port} of ${route.name} took the request and gave no answer. Look at
        its log.`,
        actions: actions(details(input, 'Show details')),
      }
    case 'not_reachable_directly':
      return {
        title: `${route.name} is out of reach`,
        lead: html`It runs on a host that this gateway cannot reach. An administrator can run the gateway on
        that host.`,
        actions: actions(details(input, 'Show details')),
      }
    case 'upstream_bad_answer':
      return {
        title: `Port ${port} gave a broken answer`,
        lead:
          detail === undefined
            ? html`The program on port ${port} of ${route.name} closed the connection or did not speak HTTP.
              Look at its log. If it speaks HTTPS, say so on the port.`
            : html`${detail}`,
        actions: actions(details(input, detail === undefined ? 'Show details' : 'Change its ports')),
      }
    default:
      return codeCard(code)
  }
}

/** The card of a code that says everything itself. */
export function codeCard(code: ApiCode, detail?: string): Card {
  const row = apiCodes[code]
  return {
    title: row.summary.replace(/\.$/, ''),
    lead: html`${detail === undefined ? row.hint : `${detail} ${row.hint}`}`,
  }
}

/** Where one may ask for access to what a place names: by path there is nothing to be given. */
export const askedOn = (place: WorkspacePlace): AskedHost => (place.prefix === '' ? place : null)

/** One and the same page for what isn't there and for what isn't the visitor's. */
export function notFoundCard(publicOrigin: string, host: AskedHost): Card {
  return {
    title: 'There is nothing here for you',
    lead: html`This workspace does not exist, or it is not shared with you. Check the name in the address.`,
    actions: actions(
      host !== null && askForm(host),
      html`<a class="plain" href="${publicOrigin}/">Open the dashboard</a>`,
    ),
  }
}

/** The host name is nobody's here. */
export function misdirectedCard(publicOrigin: string): Card {
  return {
    title: 'This address is not served here',
    lead: html`Postern answers at <code>${publicOrigin}</code>. If this address should lead here, set
      <code>public_url</code> or <code>base_domain</code> of the server.`,
    actions: actions(html`<a class="button" href="${publicOrigin}/">Go there</a>`),
  }
}

/** The hand-off between the two hosts could not be finished. */
export function handOffCard(lead: string, again: string): Card {
  return {
    title: 'The sign-in could not be finished',
    lead: html`${lead}`,
    actions: actions(html`<a class="button" href="${again}">Try again</a>`),
  }
}
