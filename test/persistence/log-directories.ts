import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { quickFolder } from '../support/quick-folder.ts'

/** Directories of a test that are removed after it. */
export function directories(): { readonly make: () => string; readonly removeAll: () => void } {
  const made: string[] = []
  return {
    make() {
      const dir = mkdtempSync(join(quickFolder, 'haltere-log-'))
      made.push(dir)
      return dir
    },
    removeAll() {
      for (const dir of made.splice(0)) rmSync(dir, { recursive: true, force: true })
    },
  }
}
