import type { ListenOptionsMap } from '../types/listen.ts'
import type { BrokerOptions } from '../types/options.ts'
import { Broker, setUp } from './broker.ts'
import { isObject } from './options.ts'
import { refuseCallback } from './usage/callbacks.ts'

/**
 * Makes a broker, sets up its plugins and opens its listeners. Rejects as the constructor throws and as `listen`
 * rejects; then the broker is closed.
 */
export function createBroker<S = unknown>(
  options: BrokerOptions<S> & { listen?: ListenOptionsMap } = {},
): Promise<Broker<S>> {
  refuseCallback('createBroker(options)', arguments)
  return openBroker(options)
}

async function openBroker<S>(options: BrokerOptions<S> & { listen?: ListenOptionsMap }): Promise<Broker<S>> {
  const { listen, ...rest } = options ?? {}
  const broker = new Broker<S>(isObject(options) ? rest : options)
  try {
    if (listen === undefined) await setUp(broker)
    else await broker.listen(listen)
  } catch (error) {
    await broker.close()
    throw error
  }
  return broker
}
