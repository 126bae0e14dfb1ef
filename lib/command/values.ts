import { readFileSync } from 'node:fs'

/** An error in the command line. Printed in one line; the exit code is 2. */
export class UsageError extends Error {}

export function port(name: string, value: unknown): number {
  const number = typeof value === 'string' && /^\d{1,5}$/.test(value) ? Number(value) : value
  if (typeof number !== 'number' || !Number.isInteger(number) || number < 0 || number > 65_535) {
    throw new UsageError(`--${name}: expected a port from 0 to 65535, got ${JSON.stringify(value)}`)
  }
  return number
}

export function string(name: string, value: unknown): string {
  if (typeof value !== 'string' || value === '')
    throw new UsageError(`--${name}: expected a string, got ${JSON.stringify(value)}`)
  return value
}

export function flag(name: string, value: unknown): boolean {
  if (typeof value !== 'boolean')
    throw new UsageError(`--${name}: expected true or false, got ${JSON.stringify(value)}`)
  return value
}

export function file(name: string, value: unknown): Buffer {
  const path = string(name, value)
  try {
    return readFileSync(path)
  } catch (error) {
    throw new UsageError(`--${name} ${path}: ${(error as Error).message}`)
  }
}
