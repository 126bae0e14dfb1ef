import { InvalidOptionError } from '../errors.ts'

const changing: readonly unknown[] = ['set', 'delete', 'clear']

function refuseChange(): never {
  throw new InvalidOptionError('broker.clients: a view that cannot be changed; write client.disconnect()')
}

/**
 * A view of the Clients that cannot change them. It is also the object that programs for aedes expect: `clients[id]` is
 * a Client, and `Object.keys(clients)` are the Client Identifiers. With a plain Map these would be undefined and empty.
 */
export function viewOfClients<Client>(byId: ReadonlyMap<string, Client>): ReadonlyMap<string, Client> {
  const methods = new Map<unknown, unknown>() // Bound once, because a Map accepts no Proxy of it as `this`.
  return new Proxy(byId, {
    get(_target, name) {
      if (!(name in byId)) return typeof name === 'string' ? byId.get(name) : undefined
      const value: unknown = Reflect.get(byId, name, byId)
      if (typeof value !== 'function' || name === 'constructor') return value
      let method = methods.get(name)
      if (method === undefined) {
        method = changing.includes(name) ? refuseChange : value.bind(byId)
        methods.set(name, method)
      }
      return method
    },
    has: (_target, name) => name in byId || byId.has(String(name)),
    ownKeys: () => [...byId.keys()],
    getOwnPropertyDescriptor(_target, name) {
      const value = byId.get(String(name))
      return value === undefined ? undefined : { value, enumerable: true, configurable: true }
    },
    set: refuseChange,
    defineProperty: refuseChange,
    deleteProperty: refuseChange,
  })
}
