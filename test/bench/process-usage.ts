/** CPU and memory of a process, from /proc of Linux. */
import { readdirSync, readFileSync } from 'node:fs'

const TICKS_PER_SECOND = 100 // the kernel's USER_HZ, the same on every Linux

/** Seconds of CPU of all threads, user and system; in nanoseconds if the kernel has schedstat, else in 10 ms ticks. */
export function cpuSeconds(pid: number): number {
  try {
    let nanoseconds = 0
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      nanoseconds += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1').split(' ')[0])
    }
    if (nanoseconds > 0) return nanoseconds / 1e9
  } catch {
    // This kernel has no schedstat, or a thread has just ended.
  }
  const { user, system } = cpuTicks(pid)
  return (user + system) / TICKS_PER_SECOND
}

/** CPU in ticks of 10 ms: user time and system time. */
export function cpuTicks(pid: number): { readonly user: number; readonly system: number } {
  // The name in parentheses may contain spaces; utime and stime are fields 14 and 15, the 12th and 13th after it.
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)!.split(' ')
  return { user: Number(fields[11]), system: Number(fields[12]) }
}

/** Resident memory of the process in bytes. */
export function residentBytes(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))
  return Number(line?.[1] ?? Number.NaN) * 1024
}

/** Maximum number of open files and sockets of this process. */
export function openFilesLimit(): number {
  const line = /^Max open files\s+(\d+|unlimited)/m.exec(readFileSync('/proc/self/limits', 'latin1'))
  return line?.[1] === undefined || line[1] === 'unlimited' ? 1_000_000 : Number(line[1])
}
