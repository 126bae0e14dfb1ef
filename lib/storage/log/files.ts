import * as fs from 'node:fs/promises'
import { dirname } from 'node:path'

/** An open file, as far as the journal needs it; a `FileHandle` is one. */
export interface File {
  read(buffer: Buffer, offset: number, length: number, position: number): Promise<{ bytesRead: number }>
  write(buffer: Buffer, offset: number, length: number, position: number): Promise<{ bytesWritten: number }>
  datasync(): Promise<void>
  truncate(length: number): Promise<void>
  stat(): Promise<{ readonly size: number }>
  close(): Promise<void>
}

/** The file system, as far as the journal needs it. Tests replace it by one that fails. */
export interface Files {
  open(path: string, flags: string, mode?: number): Promise<File>
  list(dir: string): Promise<string[]>
  makeDirectory(dir: string): Promise<unknown>
  remove(path: string): Promise<void>
  rename(from: string, to: string): Promise<void>
  /** Makes the changes of a directory durable. */
  syncDirectory(dir: string): Promise<void>
}

export const machineFiles: Files = {
  open: (path, flags, mode) => fs.open(path, flags, mode),
  list: (dir) => fs.readdir(dir),
  makeDirectory,
  remove: (path) => fs.unlink(path),
  rename: (from, to) => fs.rename(from, to),
  async syncDirectory(dir) {
    if (process.platform === 'win32') return // Windows has no such call and does not need it.
    const handle = await fs.open(dir, 'r')
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  },
}

/** With the directories above it. Node's own `recursive` never ends where none can be made, as under `/proc`. */
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

/** An error with the operation, the file, advice, and the `code` of its cause. */
export function fileError(operation: string, path: string, cause: unknown): Error {
  const { code, message } = cause as NodeJS.ErrnoException
  const advice = (code !== undefined && adviceFor[code]) || 'see the cause, and the log of the system'
  const error = new Error(`${path}: cannot ${operation}: ${message}; ${advice}`, { cause })
  return code === undefined ? error : Object.assign(error, { code })
}

const adviceFor: Readonly<Record<string, string | undefined>> = {
  ENOSPC: 'the disk is full: free some space, then changes are stored again',
  EDQUOT: 'the quota is used up: free some space, then changes are stored again',
  EFBIG: 'the limit on the size of files (ulimit -f) is reached: raise it, or make segmentBytes smaller',
  EIO: 'the disk reports errors: look at the log of the system and replace it',
  EACCES: 'give the user of this process the right to read and write it',
  EPERM: 'give the user of this process the right to read and write it',
  EROFS: 'the file system is mounted read-only',
  ENOTDIR: 'name a directory',
  EEXIST: 'name a directory',
  EMFILE: 'raise the limit on open files (ulimit -n)',
}
