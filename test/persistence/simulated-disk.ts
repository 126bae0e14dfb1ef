/** A disk that forgets what was not synced when the power goes: any part of it, in sectors, in any order. */
import { basename, dirname } from 'node:path'
import { type File, type Files, machineFiles } from '../../lib/storage/log/files.ts'
import type { Random } from '../fuzz/random.ts'

const SECTOR = 512

interface Inode {
  /** What is there for those who read it now. */
  now: Buffer
  /** What is on the disk for sure. */
  safe: Buffer
  /** What was done to it since, and may be there or not. */
  pending: ({ readonly at: number; readonly bytes: Buffer } | { readonly length: number })[]
}

function written(before: Buffer, at: number, bytes: Buffer): Buffer {
  const after = Buffer.alloc(Math.max(before.length, at + bytes.length))
  before.copy(after)
  bytes.copy(after, at)
  return after
}

function cut(before: Buffer, length: number): Buffer {
  const after = Buffer.alloc(length)
  before.copy(after, 0, 0, length)
  return after
}

export class SimulatedDisk {
  /** By name; the directory is one. */
  #now = new Map<string, Inode>()
  #safe = new Map<string, Inode>()
  /** Changes of the directory since it was synced, oldest first. */
  #pending: ((names: Map<string, Inode>) => void)[] = []
  readonly #random: Random

  constructor(random: Random) {
    this.#random = random
  }

  /** How many changes may be lost. */
  get unsafe(): number {
    return this.#pending.length + [...this.#now.values()].reduce((sum, { pending }) => sum + pending.length, 0)
  }

  /** The disk as the next start finds it. This one goes on, as a process does that has not noticed yet. */
  afterPowerLoss(): SimulatedDisk {
    const disk = new SimulatedDisk(this.#random)
    const names = new Map(this.#safe)
    // A journal of the file system keeps the order of what is done to a directory: some of it, from the oldest on.
    for (const change of this.#pending.slice(0, this.#random.below(this.#pending.length + 1))) change(names)
    for (const [name, inode] of names) {
      let bytes: Buffer = Buffer.from(inode.safe)
      for (const change of inode.pending) bytes = this.#someOf(bytes, change)
      disk.#now.set(name, { now: bytes, safe: bytes, pending: [] })
    }
    disk.#safe = new Map(disk.#now)
    return disk
  }

  #someOf(bytes: Buffer, change: Inode['pending'][number]): Buffer {
    if ('length' in change) return this.#random.below(2) === 0 ? bytes : cut(bytes, change.length)
    const fate = this.#random.below(3)
    if (fate === 0) return bytes
    if (fate === 1) return written(bytes, change.at, change.bytes)
    // Sector by sector: some have come to the disk, some have not.
    let after = bytes
    for (let from = 0; from < change.bytes.length; ) {
      const to = Math.min(change.bytes.length, from + SECTOR - ((change.at + from) % SECTOR))
      if (this.#random.below(2) === 1) after = written(after, change.at + from, change.bytes.subarray(from, to))
      from = to
    }
    return after
  }

  #changeDirectory(change: (names: Map<string, Inode>) => void): void {
    change(this.#now)
    this.#pending.push(change)
  }

  readonly files: Files = {
    ...machineFiles,
    open: async (path, flags) => {
      const name = basename(path)
      let inode = this.#now.get(name)
      if (inode === undefined) {
        if (!flags.startsWith('w')) throw Object.assign(new Error(`${name} is not there`), { code: 'ENOENT' })
        const made: Inode = { now: Buffer.alloc(0), safe: Buffer.alloc(0), pending: [] }
        this.#changeDirectory((names) => names.set(name, made))
        inode = made
      } else if (flags.startsWith('w')) {
        inode.now = Buffer.alloc(0)
        inode.pending.push({ length: 0 })
      }
      return fileOf(inode)
    },
    list: async (dir) => [...this.#now.keys()].filter(() => dir !== ''),
    remove: async (path) => {
      this.#changeDirectory((names) => names.delete(basename(path)))
    },
    rename: async (from, to) => {
      const inode = this.#now.get(basename(from))
      if (inode === undefined || dirname(from) !== dirname(to)) throw new Error('nothing to rename')
      this.#changeDirectory((names) => {
        names.delete(basename(from))
        names.set(basename(to), inode)
      })
    },
    syncDirectory: async () => {
      const now = new Map(this.#now)
      const count = this.#pending.length
      await turn()
      this.#safe = now
      this.#pending = this.#pending.slice(count)
    },
  }
}

/** As slow as a disk is beside the program. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

function fileOf(inode: Inode): File {
  return {
    async read(buffer, offset, length, position) {
      return { bytesRead: inode.now.copy(buffer, offset, position, position + length) }
    },
    async write(buffer, offset, length, position) {
      const bytes = Buffer.from(buffer.subarray(offset, offset + length))
      inode.now = written(inode.now, position, bytes)
      inode.pending.push({ at: position, bytes })
      await turn()
      return { bytesWritten: length }
    },
    async datasync() {
      const { now, pending } = inode
      const count = pending.length
      await turn()
      inode.safe = now // What was written meanwhile is not in it for sure.
      inode.pending = inode.pending.slice(count)
    },
    async truncate(length) {
      inode.now = cut(inode.now, length)
      inode.pending.push({ length })
    },
    async stat() {
      return { size: inode.now.length }
    },
    async close() {
      // What was not synced stays so.
    },
  }
}
