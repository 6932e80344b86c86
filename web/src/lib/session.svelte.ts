/** Who is signed in, and the client that speaks for them. A 401 leads to the sign-in and back to this very place. */
import type { UserView } from '../../../control/wire/account.ts'
import type { WorkspaceView } from '../../../control/wire/workspace.ts'
import { createApi } from './api.ts'
import { asProblem, type ApiProblem } from './problem.ts'

/** A sign-out is under way: it says where the browser goes, and nothing that ends by it does. */
let isLeaving = false

/** Leaves for the sign-in page, which leads back here. */
export function goToSignIn(): void {
  if (isLeaving) return
  const here = location.pathname + location.search
  location.assign(`/sign-in?next=${encodeURIComponent(here)}`)
}

/** The client of the API for this page. */
export const api = createApi({ fetch: (path, init) => fetch(path, init), onSignedOut: goToSignIn })

class Session {
  me: UserView | null = $state.raw(null)
  problem: ApiProblem | null = $state.raw(null)
  readonly isAdministrator: boolean = $derived(this.me?.role === 'administrator')

  /** Administrators, and auditors, who change nothing. */
  readonly readsAll: boolean = $derived(this.me !== null && this.me.role !== 'member')

  /** Whether a workspace is this person's own, or a group's that they are in. */
  owns = (workspace: WorkspaceView): boolean => workspace.role === 'owner'

  /** Reads who is signed in; `problem` says why that could not be known. */
  async load(): Promise<void> {
    try {
      this.me = await api.me()
      this.problem = null
    } catch (err) {
      this.problem = asProblem(err)
    }
  }

  /** Ends the session on the server, then at the provider, or shows the sign-in. */
  async signOut(): Promise<void> {
    isLeaving = true
    try {
      location.assign((await api.signOut()) ?? '/sign-in')
    } catch (err) {
      isLeaving = false
      throw err
    }
  }
}

/** The session of the page. */
export const session = new Session()
