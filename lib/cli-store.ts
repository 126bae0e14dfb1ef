import type { EventEmitter } from 'node:events'
import { pathToFileURL } from 'node:url'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { Emitter } from '../types/emitter.ts'
import type { BrokerOptions } from '../types/options.ts'
import type { Persistence } from '../types/persistence.ts'
import { InvalidOptionError } from './errors.ts'
import { log } from './persistence/log/log-persistence.ts'

// So many messages of one session the adapter reads at once.
const SESSION_PIECE = 100_000

/** The store of `--store`. */
export function directoryStore(dir: string, durability: unknown): Pick<BrokerOptions, 'persistence'> {
  if (durability !== undefined && durability !== 'fsync' && durability !== 'os' && durability !== 'none') {
    throw new InvalidOptionError(`--durability: expected fsync, os or none, got ${JSON.stringify(durability)}`)
  }
  return { persistence: log({ dir, ...(durability !== undefined && { durability }) }) }
}

/**
 * The store and the emitter of `--redis`: the packages that the user has beside this one, or where the command runs.
 * `close` lets go of the connections of the emitter, which the broker leaves to the application.
 */
export async function redisStore(
  url: string,
): Promise<{ options: Pick<BrokerOptions, 'persistence' | 'emitter'>; close: () => Promise<void> }> {
  const [persistence, emitter, redis] = await Promise.all(
    ['aedes-persistence-redis', 'mqemitter-redis', 'ioredis'].map(load),
  )
  const { Redis } = redis as { Redis: new (url: string) => EventEmitter }
  const bus = (emitter as (options: object) => Emitter)({ connectionString: url })
  const conn = new Redis(url)
  // What depends on them fails with an error of its own; without a listener each attempt to connect prints one.
  conn.on('error', () => undefined)
  const store = (persistence as (options: object) => Persistence)({
    conn,
    maxSessionDelivery: SESSION_PIECE,
  })
  return {
    options: { persistence: store, emitter: bus },
    close: () => new Promise((resolve) => void bus.close(resolve)),
  }
}

async function load(name: string): Promise<unknown> {
  const places = [import.meta.url, pathToFileURL(join(process.cwd(), 'package.json')).href]
  for (const place of places) {
    try {
      return createRequire(place)(name)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw error
    }
  }
  throw new InvalidOptionError(
    `--redis: needs the package ${name}: npm install aedes-persistence-redis mqemitter-redis ioredis`,
  )
}
