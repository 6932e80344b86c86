/** A part of the codes of errors: those about gateways in processes of their own. */

/** What can be wrong between a gateway and its server, or between it and a workspace's host. */
export const gatewayCodes = {
  gateway_token_refused: {
    status: 401,
    summary: 'This gateway’s token is not good here.',
    hint: 'Exchange the credential for another (POST /api/gateway/v1/token); look at the servers’ clocks if it goes on.',
  },
  gateway_unknown: {
    status: 401,
    summary: 'This gateway is not known here, or was revoked.',
    hint: 'Let it join anew: POST /api/v1/gateways/tokens makes a join token.',
  },
  not_reachable_directly: {
    status: 502,
    summary: 'This gateway cannot reach that workspace’s host.',
    hint: 'Run the gateway on the host of the workspace.',
  },
  control_away: {
    status: 503,
    summary: 'This gateway has not heard from its server for too long.',
    hint: 'It goes on by itself when the server is back.',
  },
} as const
