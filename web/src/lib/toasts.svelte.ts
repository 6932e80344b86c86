/** Short messages at the foot of the page, some with one thing to do, such as Undo. */
import type { ApiProblem } from './problem.ts'

export interface Toast {
  readonly id: number
  readonly text: string
  readonly bad: boolean
  readonly action?: { readonly label: string; run(): void }
}

const SHOWN_MS = 8000

class Toasts {
  list: readonly Toast[] = $state.raw([])
  #last = 0

  /** Shows a message for 8 s, or until it is closed. */
  say(text: string, options: { bad?: boolean; action?: Toast['action'] } = {}): void {
    const id = ++this.#last
    const toast: Toast = {
      id,
      text,
      bad: options.bad ?? false,
      ...(options.action === undefined ? {} : { action: options.action }),
    }
    this.list = [...this.list.slice(-3), toast]
    setTimeout(() => this.close(id), SHOWN_MS)
  }

  /** Says why something was refused, and the next step. */
  refuse(problem: ApiProblem): void {
    this.say(`${problem.message} ${problem.hint}`.trim(), { bad: true })
  }

  close(id: number): void {
    this.list = this.list.filter((toast) => toast.id !== id)
  }
}

/** The toasts of the page. */
export const toasts = new Toasts()
