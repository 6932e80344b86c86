/** Where the person is: the URL is the state. Links of the page are followed here; all else is the browser's. */
import { placeOf, titleOf, type Place } from './routes.ts'

/** Paths that the server answers itself. */
const ofServer =
  /^\/(?:api|sign-in|sign-out|auth|setup|reset|invitation|\.postern|healthz|readyz|metrics|assets)(?:\/|$)/

class Router {
  path = $state(location.pathname)
  search = $state(location.search)
  readonly place: Place = $derived(placeOf(this.path))
  readonly query: URLSearchParams = $derived(new URLSearchParams(this.search))

  constructor() {
    document.title = titleOf(this.place)
    addEventListener('popstate', () => this.#read())
    document.addEventListener('click', (event) => this.#follow(event))
  }

  /** Goes to a path of this page; `replace` leaves no step for Back. */
  go(href: string, options: { replace?: boolean } = {}): void {
    if (href === location.pathname + location.search) return
    if (options.replace === true) history.replaceState(null, '', href)
    else history.pushState(null, '', href)
    this.#read()
  }

  /** Sets or (with null) drops one part of the query; by default without a step for Back. */
  set(name: string, value: string | null, options: { replace?: boolean } = { replace: true }): void {
    const query = new URLSearchParams(location.search)
    if (value === null) query.delete(name)
    else query.set(name, value)
    const text = query.toString()
    this.go(location.pathname + (text === '' ? '' : `?${text}`), options)
  }

  #read(): void {
    this.path = location.pathname
    this.search = location.search
    document.title = titleOf(this.place)
  }

  #follow(event: MouseEvent): void {
    if (event.defaultPrevented || event.button !== 0) return
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
    const link = (event.target as Element).closest('a')
    if (link === null || link.target !== '' || link.hasAttribute('download')) return
    const url = new URL(link.href, location.href)
    if (url.origin !== location.origin || url.hash !== '' || ofServer.test(url.pathname)) return
    event.preventDefault()
    this.go(url.pathname + url.search)
  }
}

/** The one router of the page. */
export const router = new Router()
