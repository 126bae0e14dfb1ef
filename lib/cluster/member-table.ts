import { MAXIMUM_MEMBERS } from './protocol.ts'

/** Another broker that is alive. */
export interface Member {
  /** When we heard of it last. */
  heardAt: number
  /** The place in its order up to which we have its packets or know that they are lost. */
  position: number
}

/** The other brokers. */
export class MemberTable {
  readonly ids: Set<string> = new Set()
  readonly #members = new Map<string, Member>()
  /** Where those were who fell silent, latest last. */
  readonly #silent = new Map<string, number>()
  /** Who said goodbye, latest last. A broker that starts again has a new id, so these do not come back. */
  readonly #gone = new Set<string>()

  get(id: string): Member | undefined {
    return this.#members.get(id)
  }

  /**
   * @param start - its position, unless it was a member before.
   * @returns undefined when there are too many.
   */
  admit(id: string, start: number, now: number): Member | undefined {
    if (this.#members.size >= MAXIMUM_MEMBERS) return undefined
    const member = { heardAt: now, position: this.#silent.get(id) ?? start }
    this.#silent.delete(id)
    this.#members.set(id, member)
    this.ids.add(id)
    return member
  }

  /** It may come back. */
  removeSilent(id: string): void {
    const member = this.#members.get(id)
    if (member === undefined) return
    this.#remove(id)
    this.#silent.set(id, member.position)
    forgetOldest(this.#silent)
  }

  removePermanently(id: string): void {
    this.#remove(id)
    this.#silent.delete(id)
    this.#gone.add(id)
    forgetOldest(this.#gone)
  }

  isGone(id: string): boolean {
    return this.#gone.has(id)
  }

  /** While we did not run, we could not hear: that time does not count as silence. */
  extendDeadlines(milliseconds: number, now: number): void {
    for (const member of this.#members.values()) member.heardAt = Math.min(member.heardAt + milliseconds, now)
  }

  silentSince(time: number): string[] {
    const silent: string[] = []
    for (const [id, { heardAt }] of this.#members) if (heardAt < time) silent.push(id)
    return silent
  }

  clear(): void {
    this.#members.clear()
    this.ids.clear()
  }

  #remove(id: string): void {
    this.#members.delete(id)
    this.ids.delete(id)
  }
}

function forgetOldest(all: Map<string, unknown> | Set<string>): void {
  if (all.size <= MAXIMUM_MEMBERS) return
  for (const oldest of all.keys()) {
    all.delete(oldest)
    return
  }
}
