/** Sign-ins that a browser has begun at providers come in; one sealed text that it keeps comes out, and back. */
import type { Vault } from '../credentials/secrets.ts'
import { vaultOf } from '../credentials/secrets.ts'

/** One sign-in on its way: what the answer must fit. */
export interface Flow {
  readonly provider: string
  readonly state: string
  readonly nonce: string
  /** PKCE, RFC 7636. */
  readonly verifier: string
  readonly next: string
  /** The hash of the invitation's secret that it redeems; null: it redeems none. */
  readonly invitation: string | null
  readonly startedAtMs: number
}

/** How long a browser may be away, in ms. */
const AWAY_MS = 600_000
/** Tabs that one browser may be away with; older ones are forgotten. */
const FLOWS_MAX = 3
/** A cookie holds 4 kB with its name. */
const SEALED_MAX = 3800
const place = { workspaceId: '', name: 'provider flows' }

export interface Flows {
  /** What the browser keeps with one more sign-in. */
  add(kept: string | null, flow: Flow): string
  /** The sign-in of a state, and what the browser keeps without it. It never opens on another deployment. */
  take(kept: string | null, state: string): { readonly flow: Flow | null; readonly kept: string }
}

type Fields = [string, string, string, string, string, number, (string | null)?]

/** Sealed, not only signed: the verifier stays unread by whoever reads the browser's disk. */
export function flowsOf(vault: Pick<Vault, 'derive'>, now: () => number): Flows {
  const box = vaultOf(vault.derive('postern provider flows v1'))
  const seal = (flows: readonly Flow[]): string =>
    flows.length === 0
      ? ''
      : box.seal(
          place,
          JSON.stringify(
            flows.map((flow): Fields => {
              const { provider, state, nonce, verifier, next, startedAtMs, invitation } = flow
              return [provider, state, nonce, verifier, next, startedAtMs, invitation]
            }),
          ),
        )
  const open = (kept: string | null): Flow[] => {
    if (kept === null || !/^v1\.[A-Za-z0-9_-]{40,4096}$/.test(kept)) return []
    let fields: Fields[]
    try {
      fields = JSON.parse(box.open(place, kept)) as Fields[]
    } catch {
      // Not sealed by this deployment: as if it weren't there.
      return []
    }
    const time = now()
    return fields
      .map(([provider, state, nonce, verifier, next, startedAtMs, invitation = null]) => ({
        provider,
        state,
        nonce,
        verifier,
        next,
        startedAtMs,
        invitation,
      }))
      .filter(({ startedAtMs }) => time >= startedAtMs && time - startedAtMs <= AWAY_MS)
  }
  return {
    add(kept, flow) {
      let flows = [...open(kept), flow].slice(-FLOWS_MAX)
      let sealed = seal(flows)
      while (sealed.length > SEALED_MAX && flows.length > 1) {
        flows = flows.slice(1)
        sealed = seal(flows)
      }
      return sealed.length > SEALED_MAX ? seal([{ ...flow, next: '/' }]) : sealed
    },
    take(kept, state) {
      const flows = open(kept)
      return {
        flow: flows.find((flow) => flow.state === state) ?? null,
        kept: seal(flows.filter((flow) => flow.state !== state)),
      }
    },
  }
}
