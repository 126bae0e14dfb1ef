import { addChild, childOf, type LevelNode, removeChild } from './level-node.ts'
import { hasWildcard } from './topic-filter.ts'

class Node<V> implements LevelNode<Node<V>> {
  readonly level: string
  readonly parent: Node<V> | undefined
  children: Node<V> | Map<string, Node<V>> | undefined = undefined
  /** Of the Topic Name that ends here. */
  value: V | undefined = undefined

  constructor(level: string, parent: Node<V> | undefined) {
    this.level = level
    this.parent = parent
  }
}

/** Topic Names with one value each, searched by Topic Filter: the place for retained messages. */
export class TopicTrie<V extends object> {
  /** The nodes that have a value, by their whole Topic Name. */
  readonly #named = new Map<string, Node<V>>()
  readonly #root = new Node<V>('', undefined)
  #nodes = 0

  get size(): number {
    return this.#named.size
  }

  /** How many levels are kept, for those who watch memory. */
  get nodeCount(): number {
    return this.#nodes
  }

  get(topic: string): V | undefined {
    return this.#named.get(topic)?.value
  }

  /** Returns the value that was there before. */
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

  /** Returns the value that was there. */
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

  /**
   * Every value whose Topic Name matches, one by one.
   * The trie may change meanwhile: a value that comes or goes before the end is given or not, all others are given once.
   */
  *match(topicFilter: string): Generator<V, void, undefined> {
    if (!hasWildcard(topicFilter)) {
      const value = this.get(topicFilter)
      if (value !== undefined) yield value
      return
    }
    const levels = topicFilter.split('/')
    const withBelow = levels.at(-1) === '#'
    if (withBelow) levels.pop()
    const hidesDollar = levels.length === 0 || levels[0] === '+' // [MQTT-4.7.2-1]

    // One iterator per level on the way down, so a big answer needs no list of what is still to come.
    const path: Iterator<Node<V>>[] = [[this.#root].values()]
    while (path.length > 0) {
      const step = path.at(-1)!.next()
      if (step.done === true) {
        path.pop()
        continue
      }
      const node = step.value
      const depth = path.length - 1
      if (depth === 1 && hidesDollar && node.level.startsWith('$')) continue

      const next = depth < levels.length ? stepInto(node, levels[depth]!) : withBelow ? childrenOf(node) : undefined
      if (depth >= levels.length && node.value !== undefined) yield node.value
      if (next !== undefined) path.push(next)
    }
  }

  #makeNode(topic: string): Node<V> {
    let node = this.#root
    for (const level of topic.split('/')) {
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

function stepInto<V>(node: Node<V>, level: string): Iterator<Node<V>> | undefined {
  if (level === '+') return childrenOf(node)
  const child = childOf(node, level)
  return child === undefined ? undefined : [child].values()
}

function childrenOf<V>({ children }: Node<V>): Iterator<Node<V>> | undefined {
  if (children === undefined) return undefined
  return children instanceof Map ? children.values() : [children].values()
}
