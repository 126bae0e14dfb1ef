/**
 * A node of a tree of topic levels and its children by name.
 * Most nodes have no child or one, so an only child is kept bare and a Map is made for the second.
 */
export interface LevelNode<Node> {
  /** The text of this level. */
  readonly level: string
  children: Node | Map<string, Node> | undefined
}

export function childOf<Node extends LevelNode<Node>>(parent: Node, level: string): Node | undefined {
  const { children } = parent
  if (children === undefined) return undefined
  if (children instanceof Map) return children.get(level)
  return children.level === level ? children : undefined
}

/** Adds a child whose level is not there yet. */
export function addChild<Node extends LevelNode<Node>>(parent: Node, child: Node): void {
  const { children } = parent
  if (children === undefined) parent.children = child
  else if (children instanceof Map) children.set(child.level, child)
  else {
    parent.children = new Map([
      [children.level, children],
      [child.level, child],
    ])
  }
}

/** Removes a child that is there. */
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
