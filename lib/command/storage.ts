import { pathToFileURL } from 'node:url'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { Emitter } from '../../types/emitter.ts'
import type { BrokerOptions } from '../../types/options.ts'
import type { Persistence } from '../../types/persistence.ts'
import { InvalidOptionError } from '../errors.ts'

// The messages of one session that the adapter reads at once.
const MAX_SESSION_DELIVERY = 100_000

/** The members of an ioredis client that are used here. */
interface RedisConnection {
  sendCommand(...command: readonly unknown[]): unknown
  on(event: 'error', listener: () => void): unknown
}

/** Returns the options of a broker for `--store` and `--durability`. */
export async function directoryStore(dir: string, durability: unknown): Promise<Pick<BrokerOptions, 'persistence'>> {
  if (durability !== undefined && durability !== 'fsync' && durability !== 'os' && durability !== 'none') {
    throw new InvalidOptionError(`--durability: expected fsync, os or none, got ${JSON.stringify(durability)}`)
  }
  const { log } = await import('../storage/log/log-persistence.ts')
  return { persistence: log({ dir, ...(durability !== undefined && { durability }) }) }
}

/**
 * Returns the options of a broker for `--redis`. The packages for it are those beside this one, or those of the
 * working directory. `close` closes the connections of the emitter, which a broker leaves to the application.
 */
export async function redisStore(
  url: string,
): Promise<{ options: Pick<BrokerOptions, 'persistence' | 'emitter'>; close: () => Promise<void> }> {
  const [persistence, emitter, redis] = await Promise.all(
    ['aedes-persistence-redis', 'mqemitter-redis', 'ioredis'].map(load),
  )
  const { Redis } = redis as { Redis: new (url: string, options: object) => RedisConnection }
  const bus = (emitter as (options: object) => Emitter)({ connectionString: url })
  const store = (persistence as (options: object) => Persistence)({
    conn: patient(new Redis(url, { maxRetriesPerRequest: null })),
    maxSessionDelivery: MAX_SESSION_DELIVERY,
  })
  return {
    options: { persistence: store, emitter: bus },
    close: () => new Promise((resolve) => void bus.close(resolve)),
  }
}

/**
 * Handles the rejection of commands that the adapter does not wait for, which would end the process. While Redis is not
 * reachable the client queues its commands without a time limit, because the broker has one.
 */
function patient(connection: RedisConnection): RedisConnection {
  const send = connection.sendCommand
  connection.sendCommand = (...command) => {
    const result = Reflect.apply(send, connection, command)
    if (result instanceof Promise) result.catch(() => undefined)
    return result
  }
  connection.on('error', () => undefined) // Each command rejects too.
  return connection
}

async function load(name: string): Promise<unknown> {
  const places: (string | undefined)[] = [import.meta.url, pathToFileURL(join(process.cwd(), 'package.json')).href]
  for (const place of places) {
    if (place === undefined) continue // In a bundle without modules.
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
