import fastq from 'fastq'

type Task = () => Promise<void>

const runs = (task: Task): Promise<void> => task()

/**
 * Runs the tasks of one key, such as a Client, one after another; keys do not wait for each other. A task may wait for
 * an earlier task of another key: all wait only for earlier ones, so there is no deadlock.
 */
export class KeyedQueue {
  readonly #queues = new Map<string, fastq.queueAsPromised<Task, void>>()

  async run(key: string, task: Task): Promise<void> {
    let queue = this.#queues.get(key)
    if (queue === undefined) {
      queue = fastq.promise(runs, 1)
      this.#queues.set(key, queue)
    }
    try {
      await queue.push(task)
    } finally {
      if (queue.idle() && this.#queues.get(key) === queue) this.#queues.delete(key)
    }
  }

  /** Resolves when all tasks are done. */
  async idle(): Promise<void> {
    await Promise.all(Array.from(this.#queues.values(), (queue) => queue.drained()))
  }

  get size(): number {
    return this.#queues.size
  }
}

/** Limits the number of concurrent tasks; the others wait in order. */
export class Gate {
  readonly #queue: fastq.queueAsPromised<() => Promise<unknown>, unknown>

  constructor(width: number) {
    this.#queue = fastq.promise((task: () => Promise<unknown>) => task(), width)
  }

  pass<T>(task: () => Promise<T>): Promise<T> {
    return this.#queue.push(task) as Promise<T> // The result is that of the task.
  }
}
