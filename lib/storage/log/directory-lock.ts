import * as fs from 'node:fs/promises'
import { join } from 'node:path'
import { randomUUID } from 'node:crypto'

/** Whose a lock is. A process identifier is used again, together with the time of its start it is not. */
interface Holder {
  readonly pid: number
  /** In ticks since the start of the machine, where the system says it. */
  readonly started: string | undefined
  /** This start of the machine, where the system says it. */
  readonly boot: string | undefined
}

/** Keeps a second process, or a second store of the same one, out of a directory. */
export class DirectoryLock {
  readonly #path: string

  private constructor(path: string) {
    this.#path = path
  }

  /** Takes the lock, also one that a process left that is gone. Rejects when somebody has it. */
  static async take(dir: string): Promise<DirectoryLock> {
    const path = join(dir, 'lock')
    const own = join(dir, `lock.${randomUUID()}`)
    const holder: Holder = { pid: process.pid, started: (await statOf(process.pid))?.[19], boot: await bootId() }
    // A link is made with all of the contents or not at all, and only when there is none.
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

/** On a disk without room for another file: the lock that was left has the room. */
async function takesInPlace(dir: string, path: string, holder: Holder): Promise<boolean> {
  const text = await readText(path)
  if (text === undefined) return false
  await refuseLiving(dir, path, text)
  const own = JSON.stringify(holder).padEnd(Buffer.byteLength(text))
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
  return (await readText(path)) === own
}

async function removeStale(dir: string, path: string): Promise<void> {
  const text = await readText(path)
  if (text === undefined) return
  await refuseLiving(dir, path, text)
  // Somebody else may do this at the same time, and have taken the lock already: then what was moved is put back.
  const aside = `${path}.${randomUUID()}`
  try {
    await fs.rename(path, aside)
  } catch {
    return
  }
  if ((await readText(aside)) !== text) await fs.link(aside, path).catch(() => undefined)
  await fs.unlink(aside).catch(() => undefined)
}

/** Throws when the process that a lock names is there. */
async function refuseLiving(dir: string, path: string, text: string): Promise<void> {
  const holder = parse(text)
  // What a loss of power has left of a lock is not one.
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

async function readText(path: string): Promise<string | undefined> {
  return fs.readFile(path, 'utf8').catch(() => undefined)
}

function parse(text: string): Holder | undefined {
  try {
    const { pid, started, boot } = JSON.parse(text) as Partial<Holder>
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
  if (fields?.[0] === 'Z') return false // Killed, and its parent has not looked yet.
  const current = fields?.[19]
  return started === undefined || current === undefined || started === current
}

/** The fields of /proc/pid/stat from the third on; after the end of the name, which may contain anything. */
async function statOf(pid: number): Promise<string[] | undefined> {
  const text = await readText(`/proc/${pid}/stat`)
  return text?.slice(text.lastIndexOf(')') + 2).split(' ')
}

async function bootId(): Promise<string | undefined> {
  return (await readText('/proc/sys/kernel/random/boot_id'))?.trim()
}
