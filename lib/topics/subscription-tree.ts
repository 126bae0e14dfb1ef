import { addChild, childOf, type LevelNode, removeChild, splitInto } from './level-node.ts'
import { hasWildcard } from './topic-filter.ts'

/** The subscribers of one filter when there are several. A class of its own, so that a subscriber may be a Set. */
class Several<T> extends Set<T> {}

/** Nearly every filter has one subscriber, which is kept without a Set around it. */
type Subscribers<T> = T | Several<T> | undefined

/** The place of a Topic Filter that has wildcards, after some of its levels. */
class Node<T> implements LevelNode<Node<T>> {
  readonly level: string
  readonly parent: Node<T> | undefined
  children: Node<T> | Map<string, Node<T>> | undefined = undefined
  /** What comes after a `+`. */
  plus: Node<T> | undefined = undefined
  /** Of the filter that ends here. */
  subscribers: Subscribers<T> = undefined
  /** Of the filter that goes on with `#`. */
  subscribersBelow: Subscribers<T> = undefined

  constructor(level: string, parent: Node<T> | undefined) {
    this.level = level
    this.parent = parent
  }
}

/**
 * Topic Filters and their subscribers. Filters are valid and without `$share/name/`; subscribers are told apart by identity.
 * A filter without wildcards is one entry of a Map; the others share a tree with one node per level.
 */
export class SubscriptionTree<T extends object> {
  readonly #exact = new Map<string, T | Several<T>>()
  readonly #root = new Node<T>('', undefined)
  #size = 0
  #version = 0
  #nodes = 0
  // The work list of match(), kept between calls. It is empty when match() returns.
  readonly #pending: Node<T>[] = []
  readonly #depths: number[] = []
  readonly #levels: string[] = []

  /** How many pairs of filter and subscriber there are. */
  get size(): number {
    return this.#size
  }

  /** Goes up with every change: what was found at a version stays right until the version is another. */
  get version(): number {
    return this.#version
  }

  /** How many nodes the filters with wildcards need, for those who watch memory. */
  get nodeCount(): number {
    return this.#nodes
  }

  /** Adds a subscriber to a filter; nothing happens when it is there. */
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

  /** Removes a subscriber from a filter; false when it was not there. */
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

  /** Appends the subscribers of every filter that matches: once per filter, so a subscriber of two filters comes twice. */
  match(topic: string, found: T[]): void {
    if (this.#nodes > 0) this.#matchWildcards(topic, found)
    append(this.#exact.get(topic), found) // last, the order that the suite of aedes-persistence expects
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

    // Each node is reached by one path only, so this visits a node at most once.
    for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
      const depth = depths.pop()!
      append(node.subscribersBelow, found) // 'a/#' matches 'a' and what is below
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

  /** The node for a filter without its last `#`, made when it is not there. */
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
    // '#' alone lives in the root, which counts while it is in use.
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

  /** Splits the filter into `#levels`; how many of them have a node. */
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

/** The subscribers with one more, or undefined when it is among them. */
function including<T extends object>(subscribers: Subscribers<T>, subscriber: T): T | Several<T> | undefined {
  if (subscribers === undefined) return subscriber
  if (includes(subscribers, subscriber)) return undefined
  if (subscribers instanceof Several) return subscribers.add(subscriber)
  return new Several([subscribers, subscriber])
}

/** The subscribers without one that is among them. */
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
