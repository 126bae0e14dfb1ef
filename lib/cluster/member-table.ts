import { MAX_MEMBERS } from './protocol.ts'

/** Another broker that is alive. */
export interface Member {
  /** The time of its last packet. */
  heardAt: number
  /** The place in its order up to which its packets are received or known to be lost. */
  position: number
}

/** The other brokers. */
export class MemberTable {
  readonly ids: Set<string> = new Set()
  readonly #members = new Map<string, Member>()
  /** The positions of brokers that were silent for too long, latest last. */
  readonly #silent = new Map<string, number>()
  /** Brokers that left, latest last. A broker that starts again has a new id, so these do not come back. */
  readonly #ended = new Set<string>()

  get(id: string): Member | undefined {
    return this.#members.get(id)
  }

  /**
   * @param start - its position, unless it was a member before.
   * @returns undefined when there are too many.
   */
  admit(id: string, start: number, now: number): Member | undefined {
    if (this.#members.size >= MAX_MEMBERS) return undefined
    const member = { heardAt: now, position: this.#silent.get(id) ?? start }
    this.#silent.delete(id)
    this.#members.set(id, member)
    this.ids.add(id)
    return member
  }

  /** The broker may come back. */
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
    this.#ended.add(id)
    forgetOldest(this.#ended)
  }

  hasLeft(id: string): boolean {
    return this.#ended.has(id)
  }

  /** Time in which this process did not run does not count as silence of the others. */
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
  if (all.size <= MAX_MEMBERS) return
  for (const oldest of all.keys()) {
    all.delete(oldest)
    return
  }
}
