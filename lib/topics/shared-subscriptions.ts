import { SubscriptionTree } from './subscription-tree.ts'

/** Up to this size a search through the array is as fast as a Map and takes less memory. */
const MAX_SEARCHED_MEMBERS = 32

/** The members of one shared subscription, which receive messages in turn (section 4.8.2). */
export class SharedGroup<T extends object> {
  readonly shareName: string
  readonly topicFilter: string
  /** The Topic Filter with `$share/name/`. */
  readonly sharedFilter: string
  /** The members before `#turn` had their turn in this round; the others follow. */
  readonly #members: T[] = []
  #positions: Map<T, number> | undefined = undefined
  #turn = 0

  constructor(shareName: string, topicFilter: string) {
    this.shareName = shareName
    this.topicFilter = topicFilter
    this.sharedFilter = `$share/${shareName}/${topicFilter}`
  }

  get members(): readonly T[] {
    return this.#members
  }

  /** Returns the next member that `accepts`. A member that is passed over has its turn in the next round. */
  next(accepts: (member: T) => boolean): T | undefined {
    const members = this.#members
    const first = this.#turn < members.length ? this.#turn : 0
    for (let step = 0; step < members.length; step += 1) {
      const position = first + step < members.length ? first + step : first + step - members.length
      const member = members[position]!
      if (accepts(member)) {
        this.#turn = position + 1
        return member
      }
    }
    return undefined
  }

  /**
   * Returns the member with the greatest rank, the next one of several; undefined if all ranks are undefined. A member
   * that is passed over has its turn in the next round. No rank is greater than `greatest`.
   */
  best<A, B>(
    rankOf: (member: T, a: A, b: B) => number | undefined,
    a: A,
    b: B,
    greatest: number = Infinity,
  ): T | undefined {
    const members = this.#members
    const first = this.#turn < members.length ? this.#turn : 0
    let best = -1
    let bestRank = -Infinity
    for (let step = 0; step < members.length; step += 1) {
      const position = first + step < members.length ? first + step : first + step - members.length
      const rank = rankOf(members[position]!, a, b)
      if (rank === undefined || rank <= bestRank) continue
      best = position
      bestRank = rank
      if (rank >= greatest) break
    }
    if (best === -1) return undefined
    this.#turn = best + 1
    return members[best]
  }

  /** Returns false if it is already a member. A new member has its turn in this round. */
  join(member: T): boolean {
    if (this.#positionOf(member) !== -1) return false
    this.#members.push(member)
    if (this.#positions !== undefined) this.#positions.set(member, this.#members.length - 1)
    else if (this.#members.length > MAX_SEARCHED_MEMBERS) {
      this.#positions = new Map(this.#members.map((each, position) => [each, position]))
    }
    return true
  }

  /** Returns false if it is not a member. */
  leave(member: T): boolean {
    let gap = this.#positionOf(member)
    if (gap === -1) return false
    // Moves the gap to the end. Members that had their turn in this round stay before `#turn`.
    if (gap < this.#turn) {
      this.#turn -= 1
      this.#move(this.#turn, gap)
      gap = this.#turn
    }
    this.#move(this.#members.length - 1, gap)
    this.#members.pop()
    this.#positions?.delete(member)
    if (this.#members.length <= MAX_SEARCHED_MEMBERS / 2) this.#positions = undefined
    return true
  }

  #positionOf(member: T): number {
    if (this.#positions === undefined) return this.#members.indexOf(member)
    return this.#positions.get(member) ?? -1
  }

  #move(from: number, to: number): void {
    if (from === to) return
    const member = this.#members[from]!
    this.#members[to] = member
    this.#positions?.set(member, to)
  }
}

/** The shared subscriptions: each pair of ShareName and Topic Filter has a group; one member receives each message. */
export class SharedSubscriptions<T extends object> {
  // A ShareName has no '/', so each key belongs to one pair only.
  readonly #groups = new Map<string, SharedGroup<T>>()
  readonly #tree = new SubscriptionTree<SharedGroup<T>>()
  #size = 0

  /** Number of members of all groups. */
  get size(): number {
    return this.#size
  }

  /** Increases when a group is added or removed. A member that joins or leaves does not change which groups match. */
  get version(): number {
    return this.#tree.version
  }

  /** Adds a member to its group, if it is not there yet. */
  add(shareName: string, topicFilter: string, member: T): void {
    const key = `${shareName}/${topicFilter}`
    let group = this.#groups.get(key)
    if (group === undefined) {
      group = new SharedGroup(shareName, topicFilter)
      this.#groups.set(key, group)
      this.#tree.add(topicFilter, group)
    }
    if (group.join(member)) this.#size += 1
  }

  get(shareName: string, topicFilter: string): SharedGroup<T> | undefined {
    return this.#groups.get(`${shareName}/${topicFilter}`)
  }

  /** Removes a member from its group; returns false if it was not there. */
  remove(shareName: string, topicFilter: string, member: T): boolean {
    const key = `${shareName}/${topicFilter}`
    const group = this.#groups.get(key)
    if (group === undefined || !group.leave(member)) return false
    this.#size -= 1
    if (group.members.length === 0) {
      this.#groups.delete(key)
      this.#tree.remove(topicFilter, group)
    }
    return true
  }

  /** Appends the groups whose Topic Filter matches. */
  match(topic: string, found: SharedGroup<T>[]): void {
    this.#tree.match(topic, found)
  }
}
