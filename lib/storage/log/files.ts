import * as fs from 'node:fs/promises'
import { dirname } from 'node:path'

/** What the journal does with an open file; a `FileHandle` does it. */
export interface File {
  read(buffer: Buffer, offset: number, length: number, position: number): Promise<{ bytesRead: number }>
  write(buffer: Buffer, offset: number, length: number, position: number): Promise<{ bytesWritten: number }>
  datasync(): Promise<void>
  truncate(length: number): Promise<void>
  stat(): Promise<{ readonly size: number }>
  close(): Promise<void>
}

/** The file system, as far as the journal needs it: the place where a test puts one that fails. */
export interface Files {
  open(path: string, flags: string, mode?: number): Promise<File>
  list(dir: string): Promise<string[]>
  makeDirectory(dir: string): Promise<unknown>
  remove(path: string): Promise<void>
  rename(from: string, to: string): Promise<void>
  /** Makes what was created, removed and renamed in a directory last. */
  syncDirectory(dir: string): Promise<void>
}

export const machineFiles: Files = {
  open: (path, flags, mode) => fs.open(path, flags, mode),
  list: (dir) => fs.readdir(dir),
  makeDirectory,
  remove: (path) => fs.unlink(path),
  rename: (from, to) => fs.rename(from, to),
  async syncDirectory(dir) {
    if (process.platform === 'win32') return // It cannot be done there, nor has it to be.
    const handle = await fs.open(dir, 'r')
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  },
}

/** Also the directories above it. Node's own `recursive` never ends where nothing can be made, as under `/proc`. */
async function makeDirectory(dir: string): Promise<void> {
  try {
    await fs.mkdir(dir, { mode: 0o700 })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST' && (await fs.stat(dir)).isDirectory()) return
    if (code !== 'ENOENT' || dirname(dir) === dir) throw error
    if (
      await fs.stat(dirname(dir)).then(
        () => true,
        () => false,
      )
    )
      throw error
    await makeDirectory(dirname(dir))
    await fs.mkdir(dir, { mode: 0o700 })
  }
}

/** One that says what was done to which file, and what to do about it; with the `code` of the error that it comes from. */
export function fileError(what: string, path: string, cause: unknown): Error {
  const { code, message } = cause as NodeJS.ErrnoException
  const advice = (code !== undefined && adviceFor[code]) || 'see the cause, and the log of the system'
  const error = new Error(`${path}: cannot ${what}: ${message}; ${advice}`, { cause })
  return code === undefined ? error : Object.assign(error, { code })
}

const adviceFor: Readonly<Record<string, string | undefined>> = {
  ENOSPC: 'the disk is full: make room, what comes next is then stored again',
  EDQUOT: 'the quota is used up: make room, what comes next is then stored again',
  EFBIG: 'the limit on the size of files (ulimit -f) is reached: raise it, or make segmentBytes smaller',
  EIO: 'the disk reports errors: look at the log of the system and replace it',
  EACCES: 'give the user of this process the right to read and write it',
  EPERM: 'give the user of this process the right to read and write it',
  EROFS: 'the file system is mounted read-only',
  ENOTDIR: 'name a directory',
  EEXIST: 'name a directory',
  EMFILE: 'raise the limit on open files (ulimit -n)',
}
