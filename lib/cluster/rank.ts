import { createHash } from 'node:crypto'

/** Whether this broker has the highest rank for a key: all brokers that know the same members choose the same one. */
export function isFirstFor(key: string, self: string, members: Iterable<string>): boolean {
  const own = rank(key, self)
  for (const id of members) if (rank(key, id) > own) return false
  return true
}

function rank(key: string, id: string): string {
  return createHash('sha256').update(`${key}\0${id}`).digest('hex')
}
