import { InvalidOptionError } from '../errors.ts'

const PAGE = 'see docs/moving-from-aedes.md'

function asHook(name: string, signature: string): string {
  return `this broker calls no handlers; write a plugin: new Broker({ plugins: [{ name: '…', ${name}${signature} }] })`
}

const authenticate = asHook('authenticate', '({ clientId, username, password }, info) { … }')

/** Handlers, which decide. In silence an assignment would leave the broker open, so these names cannot be defined. */
const handlers: Readonly<Record<string, string>> = {
  preConnect: `${asHook('connect', '(info) { … }')}; or its hook authenticate, after the CONNECT`,
  authenticate,
  reauthenticate: asHook('reauthenticate', '(step, client) { … }'),
  authorizePublish: asHook('authorizePublish', '(message, client) { … }'),
  authorizeSubscribe: asHook('authorizeSubscribe', '(subscription, client) { … }'),
  authorizeForward: asHook('authorizeDeliver', '(message, client) { … }'),
  authorizeDeliver: asHook('authorizeDeliver', '(message, client) { … }'),
  inspect: asHook('inspect', '(message, client) { … }'),
  setup: asHook('setup', '(broker) { … }'),
  published: "write broker.on('published', (message, client) => { … })",
}

/** Parts of a broker; an assignment to one would have no effect. */
const parts: Readonly<Record<string, string>> = {
  persistence: 'write new Broker({ persistence }), and use publish, retained and clients of the broker instead of it',
  mq: 'write new Broker({ emitter }) and broker.emitter, or broker.subscribe(filter, listener)',
}

/** Members that are only read. A subclass may have one of its own. */
const read: Readonly<Record<string, string>> = {
  connectedClients: 'write broker.clients.size',
  closed: 'await broker.close(); work after it is refused with ERR_MQTT_SERVER_SHUTTING_DOWN',
  opts: 'a broker does not give its options back',
  brokers: 'a broker does not list its peers',
  version: "write import('haltere/package.json')",
  counter: 'a broker does not number its messages',
  concurrency: 'not needed: receivers do not wait for each other',
  unsubscribe: 'write const subscription = broker.subscribe(filter, listener) and subscription.close()',
  registerClient: 'a broker knows its Clients by itself',
  unregisterClient: 'write client.disconnect()',
  deleteClient: 'write client.disconnect()',
}

const ofClient: Readonly<Record<string, string>> = {
  conn: 'write client.connection, which has the address, the certificate and the HTTP request',
  connDetails: 'write client.connection',
  req: 'write client.connection.request',
  clean: 'write client.connect.cleanStart',
  version: 'write client.connect.protocolVersion',
  will: 'write client.connect.will',
  broker: 'use the variable that has the broker, or the argument of the setup hook of a plugin',
  closed: 'write !client.connected',
  connecting: 'a Client is given to the application once it is connected',
  close: 'write client.disconnect(reason)',
  emptyOutgoingQueue: 'write client.disconnect(reason)',
}

/** Options of aedes, with what to write instead. */
const options: Readonly<Record<string, string>> = {
  ...handlers,
  mq: 'it is called emitter',
  concurrency: 'not needed: receivers do not wait for each other',
  queueLimit: 'write limits.maxConnectPacketSize, in bytes',
  connectTimeout: 'write limits.connectTimeoutMs',
  drainTimeout: 'write limits.drainTimeoutMs',
  keepaliveLimit: 'write limits.maxKeepAlive',
  heartbeatInterval: 'write sysInterval',
  maxClientsIdLength: 'write allowLongClientIdentifiers: true for more than 23 characters in MQTT 3.1',
  listen: 'it is an option of createBroker; or write await broker.listen(…)',
}

/** Returns the replacement for an option of aedes; undefined for another name. */
export function insteadOfOption(name: string): string | undefined {
  return Object.hasOwn(options, name) ? options[name] : undefined
}

function refusal(what: string, instead: string): InvalidOptionError {
  return new InvalidOptionError(`${what}: no such member; ${instead}; ${PAGE}`)
}

/** Each use of a member of aedes throws an `InvalidOptionError` that says what to write instead. */
export function refuseMembersOfAedes(prototype: object): void {
  for (const [name, instead] of Object.entries({ ...handlers, ...parts })) refuse(prototype, 'broker', name, instead)
  for (const [name, instead] of Object.entries(read)) refuseRead(prototype, 'broker', name, instead)
  for (const [name, { get, set }] of Object.entries(Object.getOwnPropertyDescriptors(prototype))) {
    if (get === undefined || set !== undefined) continue
    const instead = name === 'id' || name === 'emitter' ? `write new Broker({ ${name} })` : 'it cannot be set'
    // Without a setter a program that is not in strict mode would see no error.
    Object.defineProperty(prototype, name, {
      get,
      set() {
        throw new InvalidOptionError(`broker.${name}: read only; ${instead}`)
      },
      configurable: true,
    })
  }
}

/** The same for a Client. */
export function refuseMembersOfAedesClient(prototype: object): void {
  for (const [name, instead] of Object.entries(ofClient)) refuseRead(prototype, 'client', name, instead)
}

function refuse(target: object, of: string, name: string, instead: string, configurable = true): void {
  const fail = (): never => {
    throw refusal(`${of}.${name}`, instead)
  }
  Object.defineProperty(target, name, { get: fail, set: fail, configurable })
}

/** Reading throws; a program may set a value of its own. */
function refuseRead(target: object, of: string, name: string, instead: string): void {
  Object.defineProperty(target, name, {
    get(): never {
      throw refusal(`${of}.${name}`, instead)
    },
    set(value: unknown) {
      Object.defineProperty(this, name, { value, writable: true, enumerable: true, configurable: true })
    },
    configurable: true,
  })
}

/** Refuses handlers that are defined on the broker itself, as `Object.defineProperty` does. */
export function lockHandlers(broker: object): void {
  for (const [name, instead] of Object.entries(handlers)) refuse(broker, 'broker', name, instead, false)
}

/** Throws for a subclass that has a handler as a method. */
export function checkSubclass(subclass: object, base: object): void {
  for (let each = subclass; each !== base && each !== null; each = Object.getPrototypeOf(each) as object) {
    for (const [name, instead] of Object.entries(handlers)) {
      if (Object.hasOwn(each, name)) throw refusal(`broker.${name}`, instead)
    }
  }
}

/** For the fields of a subclass, which are defined and not assigned. */
export const handlerFields: ProxyHandler<object> = {
  defineProperty(target, name, descriptor) {
    if (typeof name === 'string' && Object.hasOwn(handlers, name) && Object.hasOwn(target, name)) {
      throw refusal(`broker.${name}`, handlers[name] ?? '')
    }
    return Reflect.defineProperty(target, name, descriptor)
  },
}
