import fastq from 'fastq'

type Task = () => Promise<void>

const runs = (task: Task): Promise<void> => task()

/**
 * What is about one Client is done one after another, in the order in which it came; Clients do not wait for each other.
 * A task may wait for one that came before it in another lane: as all wait only for earlier ones, none waits for ever.
 */
export class KeyedQueue {
  readonly #lanes = new Map<string, fastq.queueAsPromised<Task, void>>()

  async run(name: string, task: Task): Promise<void> {
    let lane = this.#lanes.get(name)
    if (lane === undefined) {
      lane = fastq.promise(runs, 1)
      this.#lanes.set(name, lane)
    }
    try {
      await lane.push(task)
    } finally {
      if (lane.idle() && this.#lanes.get(name) === lane) this.#lanes.delete(name)
    }
  }

  /** Resolves when nothing is left to do. */
  async idle(): Promise<void> {
    await Promise.all(Array.from(this.#lanes.values(), (lane) => lane.drained()))
  }

  get size(): number {
    return this.#lanes.size
  }
}

/** Lets only so many tasks run at once; the others wait in order. */
export class Gate {
  readonly #queue: fastq.queueAsPromised<() => Promise<unknown>, unknown>

  constructor(width: number) {
    this.#queue = fastq.promise((task: () => Promise<unknown>) => task(), width)
  }

  pass<T>(task: () => Promise<T>): Promise<T> {
    return this.#queue.push(task) as Promise<T> // What comes out is what the task gave.
  }
}
