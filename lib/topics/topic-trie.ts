import { addChild, childOf, type LevelNode, removeChild, splitInto } from './level-node.ts'
import { hasWildcard } from './topic-filter.ts'

class Node<V> implements LevelNode<Node<V>> {
  readonly level: string
  readonly parent: Node<V> | undefined
  children: Node<V> | Map<string, Node<V>> | undefined = undefined
  /** The value of the Topic Name that ends here. */
  value: V | undefined = undefined

  constructor(level: string, parent: Node<V> | undefined) {
    this.level = level
    this.parent = parent
  }
}

// A search yields undefined after this many nodes, so that the caller can pause it.
const NODES_PER_STEP = 64

/** A map from Topic Names to values that can be searched by Topic Filter. It stores the retained messages. */
export class TopicTrie<V extends object> {
  /** The nodes with a value, by their Topic Name. */
  readonly #named = new Map<string, Node<V>>()
  readonly #root = new Node<V>('', undefined)
  #nodes = 0
  readonly #levels: string[] = []

  get size(): number {
    return this.#named.size
  }

  /** Number of nodes, for tests of memory use. */
  get nodeCount(): number {
    return this.#nodes
  }

  get(topic: string): V | undefined {
    return this.#named.get(topic)?.value
  }

  /** Returns the previous value. */
  set(topic: string, value: V): V | undefined {
    let node = this.#named.get(topic)
    if (node === undefined) {
      node = this.#makeNode(topic)
      this.#named.set(topic, node)
    }
    const before = node.value
    node.value = value
    return before
  }

  /** Returns the removed value. */
  delete(topic: string): V | undefined {
    const node = this.#named.get(topic)
    if (node === undefined) return undefined
    const before = node.value
    node.value = undefined
    this.#named.delete(topic)
    this.#removeEmptyNodes(node)
    return before
  }

  *values(): Generator<V, void, undefined> {
    for (const { value } of this.#named.values()) if (value !== undefined) yield value
  }

  /** Every value whose Topic Name matches, one by one. */
  *match(topicFilter: string): Generator<V, void, undefined> {
    for (const value of this.search(topicFilter)) if (value !== undefined) yield value
  }

  /**
   * Yields every value whose Topic Name matches, and undefined after every `NODES_PER_STEP` nodes, so that the caller can
   * pause a long search. A value that is added or removed during the search may be missing; every other value is
   * yielded once.
   */
  *search(topicFilter: string): Generator<V | undefined, void, undefined> {
    if (!hasWildcard(topicFilter)) {
      const value = this.get(topicFilter)
      if (value !== undefined) yield value
      return
    }
    if (topicFilter === '#') {
      // The most common filter with many matches; the flat list is four times as fast.
      for (const [topic, { value }] of this.#named) if (value !== undefined && !topic.startsWith('$')) yield value
      return
    }
    const levels = topicFilter.split('/')
    const withBelow = levels.at(-1) === '#'
    if (withBelow) levels.pop()
    const hidesDollar = levels.length === 0 || levels[0] === '+' // [MQTT-4.7.2-1]

    // The unvisited nodes, one entry per level: an iterator over children, so that many children need no list; or a
    // single node; or undefined after that node was visited.
    const path: (Iterator<Node<V>> | Node<V> | undefined)[] = [this.#root]
    let visited = 0
    while (path.length > 0) {
      visited += 1
      if (visited % NODES_PER_STEP === 0) yield undefined
      const depth = path.length - 1
      const top = path[depth]
      if (top instanceof Node) path[depth] = undefined
      const node = top instanceof Node ? top : nextOf(top)
      if (node === undefined) {
        path.pop()
        continue
      }
      if (depth === 1 && hidesDollar && node.level.startsWith('$')) continue

      let below: Iterator<Node<V>> | Node<V> | undefined
      if (depth < levels.length) below = levels[depth] === '+' ? childrenOf(node) : childOf(node, levels[depth]!)
      else if (withBelow) below = childrenOf(node)
      if (depth >= levels.length && node.value !== undefined) yield node.value
      if (below !== undefined) path.push(below)
    }
  }

  #makeNode(topic: string): Node<V> {
    let node = this.#root
    const levels = this.#levels
    const count = splitInto(levels, topic)
    for (let depth = 0; depth < count; depth += 1) {
      const level = levels[depth]!
      let next = childOf(node, level)
      if (next === undefined) {
        next = new Node(level, node)
        addChild(node, next)
        this.#nodes += 1
      }
      node = next
    }
    return node
  }

  #removeEmptyNodes(from: Node<V>): void {
    let node = from
    while (node.value === undefined && node.children === undefined && node.parent !== undefined) {
      removeChild(node.parent, node)
      this.#nodes -= 1
      node = node.parent
    }
  }
}

function nextOf<V>(nodes: Iterator<Node<V>> | undefined): Node<V> | undefined {
  const step = nodes?.next()
  return step?.done === false ? step.value : undefined
}

function childrenOf<V>({ children }: Node<V>): Iterator<Node<V>> | Node<V> | undefined {
  return children instanceof Map ? children.values() : children
}
