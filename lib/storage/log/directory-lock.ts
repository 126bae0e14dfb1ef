import * as fs from 'node:fs/promises'
import { join } from 'node:path'
import { randomUUID } from 'node:crypto'

/** The holder of a lock. A process identifier may be used again; together with the time of its start it is unique. */
interface Holder {
  readonly pid: number
  /** In ticks since the start of the machine; undefined on other systems than Linux. */
  readonly started: string | undefined
  /** The boot id of the machine; undefined on other systems than Linux. */
  readonly boot: string | undefined
}

/** Keeps a second process, or a second store of the same one, out of a directory. */
export class DirectoryLock {
  readonly #path: string

  private constructor(path: string) {
    this.#path = path
  }

  /** Takes the lock, also that of a process that has ended. Rejects if another store has it. */
  static async take(dir: string): Promise<DirectoryLock> {
    const path = join(dir, 'lock')
    const own = join(dir, `lock.${randomUUID()}`)
    const holder: Holder = { pid: process.pid, started: (await statOf(process.pid))?.[19], boot: await bootId() }
    // A link appears with all of its contents, and only if there is no lock.
    try {
      await fs.writeFile(own, JSON.stringify(holder), { flag: 'wx', mode: 0o600 })
    } catch (error) {
      await fs.unlink(own).catch(() => undefined)
      if (!(await takesInPlace(dir, path, holder))) throw error
      return new DirectoryLock(path)
    }
    try {
      for (;;) {
        try {
          await fs.link(own, path)
          return new DirectoryLock(path)
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
        }
        await removeStale(dir, path)
      }
    } finally {
      await fs.unlink(own).catch(() => undefined)
    }
  }

  async release(): Promise<void> {
    await fs.unlink(this.#path).catch(() => undefined)
  }
}

/** Overwrites the lock of a process that has ended, on a disk without space for another file. */
async function takesInPlace(dir: string, path: string, holder: Holder): Promise<boolean> {
  const contents = await readContents(path)
  if (contents === undefined) return false
  await refuseLiving(dir, path, contents)
  const own = JSON.stringify(holder).padEnd(Buffer.byteLength(contents))
  try {
    const file = await fs.open(path, 'r+')
    try {
      await file.write(own, 0)
    } finally {
      await file.close()
    }
  } catch {
    return false
  }
  return (await readContents(path)) === own
}

async function removeStale(dir: string, path: string): Promise<void> {
  const contents = await readContents(path)
  if (contents === undefined) return
  await refuseLiving(dir, path, contents)
  // Another process may have taken the lock at the same time: then its lock is put back.
  const aside = `${path}.${randomUUID()}`
  try {
    await fs.rename(path, aside)
  } catch {
    return
  }
  if ((await readContents(aside)) !== contents) await fs.link(aside, path).catch(() => undefined)
  await fs.unlink(aside).catch(() => undefined)
}

/** Throws if the process of a lock is alive. */
async function refuseLiving(dir: string, path: string, contents: string): Promise<void> {
  const holder = parse(contents)
  // A loss of power may leave a part of a lock, which does not count.
  if (holder !== undefined && (await isAlive(holder))) {
    const who = holder.pid === process.pid ? 'this process' : 'another process'
    throw Object.assign(
      new Error(
        `${dir}: in use by ${who}, pid ${holder.pid}; a directory belongs to one store at a time. ` +
          `If there is no such process, remove ${path}`,
      ),
      { code: 'ELOCKED' },
    )
  }
}

async function readContents(path: string): Promise<string | undefined> {
  return fs.readFile(path, 'utf8').catch(() => undefined)
}

function parse(contents: string): Holder | undefined {
  try {
    const { pid, started, boot } = JSON.parse(contents) as Partial<Holder>
    return Number.isInteger(pid) ? { pid: pid!, started, boot } : undefined
  } catch {
    return undefined
  }
}

async function isAlive({ pid, started, boot }: Holder): Promise<boolean> {
  const now = await bootId()
  if (boot !== undefined && now !== undefined && boot !== now) return false
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
  }
  const fields = await statOf(pid)
  if (fields?.[0] === 'Z') return false // Killed, and its parent has not waited for it yet.
  const current = fields?.[19]
  return started === undefined || current === undefined || started === current
}

/** The fields of /proc/pid/stat from the third on. They start after the name, which may contain any character. */
async function statOf(pid: number): Promise<string[] | undefined> {
  const contents = await readContents(`/proc/${pid}/stat`)
  return contents?.slice(contents.lastIndexOf(')') + 2).split(' ')
}

async function bootId(): Promise<string | undefined> {
  return (await readContents('/proc/sys/kernel/random/boot_id'))?.trim()
}
