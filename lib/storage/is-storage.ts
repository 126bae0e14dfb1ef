import type { Storage } from '../../types/storage.ts'

const methods = ['open', 'readAll', 'commit', 'close'] as const satisfies readonly (keyof Storage)[]

/** Whether an object implements our own port; a persistence made for aedes does not. */
export function isStorage(value: unknown): value is Storage {
  if (typeof value !== 'object' || value === null) return false
  const given = value as Partial<Record<keyof Storage, unknown>>
  return methods.every((method) => typeof given[method] === 'function')
}
