/** Every error that the API can answer with: code → HTTP status, what it means, and the next step. */
import { gatewayCodes } from './gateway-codes.ts'

export const apiCodes = {
  bad_request: {
    status: 400,
    summary: 'The request is not well-formed.',
    hint: 'Send one JSON object with Content-Type: application/json.',
  },
  invalid_body: {
    status: 422,
    summary: 'Some fields are not usable.',
    hint: 'Mend the fields listed in `errors`.',
  },
  invalid_name: {
    status: 422,
    summary: 'The name is not usable.',
    hint: 'Small letters, digits and hyphens, at most 40; not ending in a hyphen and digits.',
  },
  limit_exceeded: {
    status: 422,
    summary: 'The spec asks for more than this server allows.',
    hint: 'GET /api/v1/limits shows what is allowed.',
  },
  visibility_too_wide: {
    status: 422,
    summary: 'Ports may not be opened that widely here.',
    hint: 'Choose a narrower visibility; an administrator can raise the cap in the settings.',
  },
  unsupported: {
    status: 422,
    summary: 'No host here can do that.',
    hint: 'Choose another template, or add a host whose runtime can.',
  },
  unauthenticated: {
    status: 401,
    summary: 'You are not signed in.',
    hint: 'Sign in, or send Authorization: Bearer with a token.',
  },
  ...gatewayCodes,
  invalid_credentials: {
    status: 401,
    summary: 'User name and password don’t match.',
    hint: 'Check both; after several tries, wait a minute.',
  },
  provider_refused: {
    status: 403,
    summary: 'The provider did not sign you in.',
    hint: 'Try again; if it goes on, ask the provider’s administrator.',
  },
  provider_answer: {
    status: 403,
    summary: 'The provider’s answer could not be trusted.',
    hint: 'Begin the sign-in anew; if it goes on, an administrator finds more in the log.',
  },
  provider_clock: {
    status: 403,
    summary: 'The provider’s clock and the server’s differ too much.',
    hint: 'An administrator sets both by NTP; at most a minute may lie between them.',
  },
  provider_away: {
    status: 503,
    summary: 'The sign-in provider does not answer.',
    hint: 'Try again in a moment, or sign in another way.',
  },
  sign_in_lost: {
    status: 403,
    summary: 'This sign-in was not begun in this browser, or took too long.',
    hint: 'Begin it anew, with cookies allowed, within ten minutes.',
  },
  account_not_allowed: {
    status: 403,
    summary: 'Your account is not let in here.',
    hint: 'Ask an administrator for an invitation.',
  },
  account_conflict: {
    status: 409,
    summary: 'Another account here has your e-mail address.',
    hint: 'Sign in as you did before, or ask an administrator to bring both together.',
  },
  password_required: {
    status: 401,
    summary: 'This port has a password.',
    hint: 'Open it in a browser; a program with a token sends it once, as the form field password, to /.postern/password.',
  },
  wrong_password: {
    status: 403,
    summary: 'That isn’t the password.',
    hint: 'Ask whoever shared it; after several tries, wait a minute.',
  },
  link_unknown: {
    status: 404,
    summary: 'This link opens nothing.',
    hint: 'Check that it is whole; it may have been revoked.',
  },
  link_over: {
    status: 410,
    summary: 'This link is over.',
    hint: 'Ask whoever sent it for a new one.',
  },
  forbidden: { status: 403, summary: 'You may not do that.', hint: 'Ask an administrator.' },
  grant_missing: {
    status: 403,
    summary: 'That takes a grant on a host.',
    hint: 'Ask an administrator for a grant that carries what is named, or leave it out of the spec.',
  },
  wrong_origin: {
    status: 403,
    summary: 'The request came from another site.',
    hint: 'Use the dashboard at the public URL, or a token.',
  },
  missing_scope: {
    status: 403,
    summary: 'This token may not do that.',
    hint: 'Make a token with the scope that is named.',
  },
  not_found: {
    status: 404,
    summary: 'There is nothing here for you.',
    hint: 'Check the name; it may not exist or not be yours.',
  },
  method_not_allowed: {
    status: 405,
    summary: 'This path does not take that method.',
    hint: 'See GET /api/v1/openapi.json.',
  },
  name_taken: { status: 409, summary: 'That name is taken.', hint: 'Choose another name.' },
  setup_closed: {
    status: 409,
    summary: 'Postern is set up already.',
    hint: 'Sign in, or ask an administrator for an account.',
  },
  not_linkable: {
    status: 409,
    summary: 'No such port is open to links.',
    hint: 'Set the visibility of a port to link first.',
  },
  not_trashed: {
    status: 409,
    summary: 'Only what is in the trash can be restored.',
    hint: 'Start it instead.',
  },
  has_workspaces: {
    status: 409,
    summary: 'This user still has workspaces.',
    hint: 'Purge them first, or disable the user instead.',
  },
  group_in_use: {
    status: 409,
    summary: 'This group still owns workspaces.',
    hint: 'Purge them or give them to another owner first, those in the trash too.',
  },
  synced_member: {
    status: 409,
    summary: 'The sign-in provider says who is in this group.',
    hint: 'Change it at the provider; it counts from the next sign-in.',
  },
  disk_fixed: {
    status: 409,
    summary: 'The disk of a workspace that has data can’t get that size.',
    hint: 'Make a new workspace of that size, and copy the data over.',
  },
  host_in_use: {
    status: 409,
    summary: 'This host still has workspaces, or is the server’s own.',
    hint: 'Purge its workspaces first, those in the trash too; the server’s own host stays.',
  },
  last_administrator: {
    status: 409,
    summary: 'Without this user there would be no administrator.',
    hint: 'Make another user an administrator first.',
  },
  stale_epoch: {
    status: 409,
    summary: 'A newer process of this agent has registered.',
    hint: 'Stop the older process; one agent per state directory.',
  },
  request_timeout: {
    status: 408,
    summary: 'The head of the request did not come in time.',
    hint: 'Send it at once; an administrator can raise max_header_time.',
  },
  cap_reached: { status: 409, summary: 'No more may run or be there.', hint: 'Stop or delete one first.' },
  payload_too_large: { status: 413, summary: 'The body is too large.', hint: 'API bodies end at 1 MiB.' },
  unsupported_media_type: {
    status: 415,
    summary: 'The body is not JSON.',
    hint: 'Send Content-Type: application/json.',
  },
  misdirected: {
    status: 421,
    summary: 'This host name is not served here.',
    hint: 'Check base_domain and public_url of the server.',
  },
  rate_limited: { status: 429, summary: 'Too many tries.', hint: 'Wait as Retry-After says.' },
  no_default_port: {
    status: 404,
    summary: 'This workspace has no default app.',
    hint: 'Name a port in the host, as in <name>-3000, or declare one in its spec.',
  },
  expectation_failed: {
    status: 417,
    summary: 'The request expects what is not known here.',
    hint: 'Leave the Expect header out, or send 100-continue.',
  },
  headers_too_large: {
    status: 431,
    summary: 'The request has too many header fields.',
    hint: 'Send fewer or smaller header fields; clearing cookies may help.',
  },
  not_implemented: {
    status: 501,
    summary: 'The transfer coding is not known here.',
    hint: 'Use Transfer-Encoding: chunked alone, or Content-Length.',
  },
  http_version: {
    status: 505,
    summary: 'That version of HTTP is not spoken here.',
    hint: 'Use HTTP/1.1.',
  },
  loop_detected: {
    status: 508,
    summary: 'The request came through here too often.',
    hint: 'A program in a workspace sends its requests back to Postern; look at its proxy settings.',
  },
  user_requests_capped: {
    status: 429,
    summary: 'You have too many requests open at once.',
    hint: 'Wait for some to end; an administrator can raise max_requests_per_user.',
  },
  user_sockets_capped: {
    status: 429,
    summary: 'You have too many WebSockets open at once.',
    hint: 'Close some tabs; an administrator can raise max_sockets_per_user.',
  },
  user_upgrades_capped: {
    status: 429,
    summary: 'You open WebSockets too fast.',
    hint: 'Wait as Retry-After says; a program may be reconnecting in a loop.',
  },
  pipeline_capped: {
    status: 429,
    summary: 'Too many requests came on one connection before their answers.',
    hint: 'Wait for answers before you ask on, or use more connections.',
  },
  address_capped: {
    status: 429,
    summary: 'Too much comes from your address without a sign-in.',
    hint: 'Sign in, or wait; an administrator can raise max_connections_per_address.',
  },
  workspace_requests_capped: {
    status: 503,
    summary: 'This workspace has too many requests open at once.',
    hint: 'Try again in a moment; an administrator can raise max_requests_per_workspace.',
  },
  workspace_sockets_capped: {
    status: 503,
    summary: 'This workspace has too many WebSockets open at once.',
    hint: 'Try again later; an administrator can raise max_sockets_per_workspace.',
  },
  workspace_upgrades_capped: {
    status: 503,
    summary: 'Too many WebSockets are opened to this workspace at once.',
    hint: 'Try again in a moment; a program may be reconnecting in a loop.',
  },
  internal: {
    status: 500,
    summary: 'Something failed here.',
    hint: 'Try again; the log has more under the request id.',
  },
  upstream_unreachable: {
    status: 502,
    summary: 'Nothing answers on that port.',
    hint: 'Start your program, listening on 0.0.0.0.',
  },
  upstream_bad_answer: {
    status: 502,
    summary: 'The program’s answer was not valid HTTP.',
    hint: 'Look at the program’s log.',
  },
  workspace_stopped: {
    status: 503,
    summary: 'The workspace is not running.',
    hint: 'Start it; it answers soon after.',
  },
  workspace_starting: { status: 503, summary: 'The workspace is waking up.', hint: 'Try again in a moment.' },
  overloaded: { status: 503, summary: 'Too much at once.', hint: 'Try again in a moment.' },
  unavailable: {
    status: 503,
    summary: 'The server cannot decide right now.',
    hint: 'Try again in a moment.',
  },
  upstream_timeout: {
    status: 504,
    summary: 'The program did not answer in time.',
    hint: 'Look at the program’s log.',
  },
} as const satisfies Record<string, { status: number; summary: string; hint: string }>

export type ApiCode = keyof typeof apiCodes
