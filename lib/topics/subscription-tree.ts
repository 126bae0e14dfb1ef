import { addChild, childOf, type LevelNode, removeChild, splitInto } from './level-node.ts'
import { hasWildcard } from './topic-filter.ts'

/** The subscribers of a filter that has several. A separate class, because a subscriber may itself be a Set. */
class Several<T> extends Set<T> {}

/** Nearly every filter has one subscriber, which is stored without a Set to save memory. */
type Subscribers<T> = T | Several<T> | undefined

/** A node for the first levels of Topic Filters with wildcards. */
class Node<T> implements LevelNode<Node<T>> {
  readonly level: string
  readonly parent: Node<T> | undefined
  children: Node<T> | Map<string, Node<T>> | undefined = undefined
  /** The child for the level `+`. */
  plus: Node<T> | undefined = undefined
  /** The subscribers of the filter that ends here. */
  subscribers: Subscribers<T> = undefined
  /** The subscribers of the filter that continues with `#`. */
  subscribersBelow: Subscribers<T> = undefined

  constructor(level: string, parent: Node<T> | undefined) {
    this.level = level
    this.parent = parent
  }
}

/**
 * Topic Filters and their subscribers. Filters are valid, without `$share/name/`; subscribers are compared by identity.
 * A filter without wildcards is one entry of a Map; the others share a tree with one node per level.
 */
export class SubscriptionTree<T extends object> {
  readonly #exact = new Map<string, T | Several<T>>()
  readonly #root = new Node<T>('', undefined)
  #size = 0
  #version = 0
  #nodes = 0
  // The work list of match(), reused between calls. It is empty when match() returns.
  readonly #pending: Node<T>[] = []
  readonly #depths: number[] = []
  readonly #levels: string[] = []

  /** Number of pairs of filter and subscriber. */
  get size(): number {
    return this.#size
  }

  /** Increases with every change. The result of `match` stays valid while the version is the same. */
  get version(): number {
    return this.#version
  }

  /** Number of nodes for the filters with wildcards, for tests of memory use. */
  get nodeCount(): number {
    return this.#nodes
  }

  /** Adds a subscriber to a filter, if it is not there yet. */
  add(topicFilter: string, subscriber: T): void {
    if (!hasWildcard(topicFilter)) {
      const before = this.#exact.get(topicFilter)
      const after = including(before, subscriber)
      if (after === undefined) return
      if (after !== before) this.#exact.set(topicFilter, after)
    } else {
      const below = endsInHash(topicFilter)
      const node = this.#makeNode(topicFilter)
      const after = including(below ? node.subscribersBelow : node.subscribers, subscriber)
      if (after === undefined) return
      if (below) node.subscribersBelow = after
      else node.subscribers = after
    }
    this.#size += 1
    this.#version += 1
  }

  /** Removes a subscriber from a filter; returns false if it was not there. */
  remove(topicFilter: string, subscriber: T): boolean {
    if (!hasWildcard(topicFilter)) {
      const before = this.#exact.get(topicFilter)
      if (!includes(before, subscriber)) return false
      const after = excluding(before, subscriber)
      if (after === undefined) this.#exact.delete(topicFilter)
      else if (after !== before) this.#exact.set(topicFilter, after)
    } else {
      const below = endsInHash(topicFilter)
      const node = this.#findNode(topicFilter)
      if (node === undefined) return false
      const before = below ? node.subscribersBelow : node.subscribers
      if (!includes(before, subscriber)) return false
      const after = excluding(before, subscriber)
      if (below) node.subscribersBelow = after
      else node.subscribers = after
      if (after === undefined) this.#removeEmptyNodes(node)
    }
    this.#size -= 1
    this.#version += 1
    return true
  }

  /** Appends the subscribers of every matching filter. A subscriber with two matching filters is appended twice. */
  match(topic: string, found: T[]): void {
    if (this.#nodes > 0) this.#matchWildcards(topic, found)
    append(this.#exact.get(topic), found) // Last, because the test suite of aedes-persistence expects this order.
  }

  #matchWildcards(topic: string, found: T[]): void {
    const pending = this.#pending
    const depths = this.#depths
    const levels = this.#levels
    const count = splitInto(levels, topic)
    const root = this.#root

    if (topic.startsWith('$')) {
      // A wildcard at the first level does not match [MQTT-4.7.2-1].
      const child = childOf(root, levels[0]!)
      if (child === undefined) return
      pending.push(child)
      depths.push(1)
    } else {
      pending.push(root)
      depths.push(0)
    }

    // Only one path leads to each node, so each node is visited at most once.
    for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
      const depth = depths.pop()!
      append(node.subscribersBelow, found) // 'a/#' matches 'a' and every level below it.
      if (depth === count) {
        append(node.subscribers, found)
        continue
      }
      if (node.plus !== undefined) {
        pending.push(node.plus)
        depths.push(depth + 1)
      }
      const child = childOf(node, levels[depth]!)
      if (child !== undefined) {
        pending.push(child)
        depths.push(depth + 1)
      }
    }
  }

  /** Returns the node for a filter without its last `#`; creates it if needed. */
  #makeNode(topicFilter: string): Node<T> {
    let node = this.#root
    const count = this.#nodeLevels(topicFilter)
    for (let depth = 0; depth < count; depth += 1) {
      const level = this.#levels[depth]!
      let next = level === '+' ? node.plus : childOf(node, level)
      if (next === undefined) {
        next = new Node(level, node)
        if (level === '+') node.plus = next
        else addChild(node, next)
        this.#nodes += 1
      }
      node = next
    }
    // The filter '#' is stored in the root, which counts as a node while it is used.
    if (count === 0 && node.subscribersBelow === undefined) this.#nodes += 1
    return node
  }

  #findNode(topicFilter: string): Node<T> | undefined {
    let node: Node<T> | undefined = this.#root
    const count = this.#nodeLevels(topicFilter)
    for (let depth = 0; depth < count && node !== undefined; depth += 1) {
      const level = this.#levels[depth]!
      node = level === '+' ? node.plus : childOf(node, level)
    }
    return node
  }

  /** Splits the filter into `#levels`. Returns how many of them have a node. */
  #nodeLevels(topicFilter: string): number {
    const count = splitInto(this.#levels, topicFilter)
    return endsInHash(topicFilter) ? count - 1 : count
  }

  #removeEmptyNodes(from: Node<T>): void {
    let node = from
    while (
      node.subscribers === undefined &&
      node.subscribersBelow === undefined &&
      node.children === undefined &&
      node.plus === undefined
    ) {
      const { parent } = node
      if (parent === undefined) break
      if (parent.plus === node) parent.plus = undefined
      else removeChild(parent, node)
      this.#nodes -= 1
      node = parent
    }
    if (from.parent === undefined) this.#nodes -= 1
  }
}

function endsInHash(topicFilter: string): boolean {
  return topicFilter.endsWith('#')
}

function includes<T extends object>(subscribers: Subscribers<T>, subscriber: T): boolean {
  return subscribers instanceof Several ? subscribers.has(subscriber) : subscribers === subscriber
}

/** Returns the subscribers with one more, or undefined if it is already among them. */
function including<T extends object>(subscribers: Subscribers<T>, subscriber: T): T | Several<T> | undefined {
  if (subscribers === undefined) return subscriber
  if (includes(subscribers, subscriber)) return undefined
  if (subscribers instanceof Several) return subscribers.add(subscriber)
  return new Several([subscribers, subscriber])
}

/** Returns the subscribers without `subscriber`, which must be among them. */
function excluding<T extends object>(subscribers: Subscribers<T>, subscriber: T): Subscribers<T> {
  if (!(subscribers instanceof Several)) return undefined
  subscribers.delete(subscriber)
  if (subscribers.size > 1) return subscribers
  const [only] = subscribers
  return only
}

function append<T extends object>(subscribers: Subscribers<T>, found: T[]): void {
  if (subscribers === undefined) return
  if (subscribers instanceof Several) for (const subscriber of subscribers) found.push(subscriber)
  else found.push(subscribers)
}
