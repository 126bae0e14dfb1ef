/**
 * A node of a tree of topic levels and its children by name.
 * Most nodes have at most one child, so a single child is stored directly and a Map is used from the second one on.
 */
export interface LevelNode<Node> {
  /** The name of this level. */
  readonly level: string
  children: Node | Map<string, Node> | undefined
}

export function childOf<Node extends LevelNode<Node>>(parent: Node, level: string): Node | undefined {
  const { children } = parent
  if (children === undefined) return undefined
  if (children instanceof Map) return children.get(level)
  return children.level === level ? children : undefined
}

/** Adds a child; the parent must have no child of the same level. */
export function addChild<Node extends LevelNode<Node>>(parent: Node, child: Node): void {
  const { children } = parent
  if (children === undefined) parent.children = child
  else if (children instanceof Map) children.set(child.level, child)
  else parent.children = new Map<string, Node>().set(children.level, children).set(child.level, child)
}

/** Removes a child of the parent. */
export function removeChild<Node extends LevelNode<Node>>(parent: Node, child: Node): void {
  const { children } = parent
  if (!(children instanceof Map)) {
    parent.children = undefined
    return
  }
  children.delete(child.level)
  if (children.size > 1) return
  for (const only of children.values()) parent.children = only
}

/** Writes the levels into a reused array and returns their number. Takes a third of the time of `split`. */
export function splitInto(levels: string[], topic: string): number {
  let count = 0
  let start = 0
  for (let slash = topic.indexOf('/'); slash !== -1; slash = topic.indexOf('/', start)) {
    levels[count] = topic.slice(start, slash)
    count += 1
    start = slash + 1
  }
  levels[count] = start === 0 ? topic : topic.slice(start)
  return count + 1
}
