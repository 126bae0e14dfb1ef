import { randomUUID } from 'node:crypto'
import type { Client } from '../types/client.ts'
import type { Emitter } from '../types/emitter.ts'
import type { Plugin } from '../types/hooks.ts'
import type { SubscribeOptions } from '../types/local-subscription.ts'
import type { BrokerOptions, Clock, Limits, Logger } from '../types/options.ts'
import type { QoS } from '../types/packets.ts'
import type { Persistence } from '../types/persistence.ts'
import type { Storage } from '../types/storage.ts'
import { InvalidOptionError } from './errors.ts'
import { hookNames } from './hooks.ts'
import { faultIn } from './packets/properties.ts'
import { isReasonName } from './packets/reason-codes.ts'
import { insteadOfOption } from './usage/aedes-members.ts'

/** The options with every default filled in. */
export interface Settings {
  readonly id: string
  readonly plugins: readonly Plugin<never>[]
  readonly limits: Readonly<Limits>
  readonly allowAnonymous: boolean
  readonly sessionOwner: 'user' | 'anyone' | ((client: Client) => string | undefined) | undefined
  readonly allowControlCharacters: boolean
  readonly allowLongClientIdentifiers: boolean
  readonly maximumQoS: QoS
  readonly retainAvailable: boolean
  readonly wildcardSubscriptionAvailable: boolean
  readonly subscriptionIdentifiersAvailable: boolean
  readonly sharedSubscriptionAvailable: boolean
  readonly copyPerSubscription: boolean | ((client: Client) => boolean)
  readonly responseInformation: (clientId: string) => string | undefined
  readonly sysInterval: number | false
  readonly emitter: Emitter | undefined
  readonly persistence: Persistence | Storage | undefined
  readonly store: string | undefined
  readonly logger: Logger | undefined
  readonly signal: AbortSignal | undefined
  readonly clock: Clock
}

const KiB = 1024
const MiB = 1024 * KiB

const defaultLimits: Readonly<Limits> = {
  maxPacketSize: 4 * MiB,
  maxConnectPacketSize: 64 * KiB,
  maxConnections: 100_000,
  maxConnectionsPerIp: 50_000,
  connectTimeoutMs: 10_000,
  hookTimeoutMs: 10_000,
  storeTimeoutMs: 10_000,
  drainTimeoutMs: 60_000,
  holdBackMs: 500,
  receiveMaximum: 1024,
  maxInflight: 1024,
  maxQueuedMessages: 10_000,
  maxQueuedBytes: 16 * MiB,
  maxTotalQueuedBytes: 256 * MiB,
  maxOutboundBytes: 8 * MiB,
  maxSessions: 100_000,
  maxSessionExpiry: 0xffff_ffff,
  maxKeepAlive: 0,
  maxSubscriptionsPerClient: 10_000,
  maxSubscriptionBytesPerClient: 4 * MiB,
  maxTopicLevels: 128,
  maxRetained: 100_000,
  maxRetainedBytes: 256 * MiB,
  topicAliasMaximum: 16,
  maxOutboundTopicAliases: 16,
  maxUserProperties: 100,
  messagesPerSecond: Infinity,
}

// Minimum and maximum; a limit without a row accepts any whole number from 0.
const ranges: Partial<Record<keyof Limits, readonly [number, number]>> = {
  maxPacketSize: [16, 268_435_460],
  maxConnectPacketSize: [16, 268_435_460],
  connectTimeoutMs: [1, Infinity],
  hookTimeoutMs: [1, Infinity],
  storeTimeoutMs: [1, Infinity],
  drainTimeoutMs: [1, Infinity],
  receiveMaximum: [1, 65_535],
  maxInflight: [1, 65_535],
  maxSessionExpiry: [0, 0xffff_ffff],
  maxKeepAlive: [0, 65_535],
  maxTopicLevels: [1, 65_536],
  topicAliasMaximum: [0, 65_535],
  maxOutboundTopicAliases: [0, 65_535],
  messagesPerSecond: [1, Infinity],
}

// Monotonic, and near the wall clock, so that a change of the wall clock expires nothing.
const { timeOrigin } = performance
const systemClock: Clock = {
  now: () => timeOrigin + performance.now(),
  wallClock: () => Date.now(),
  setTimeout: (callback, milliseconds) => setTimeout(callback, milliseconds),
  clearTimeout: (handle: NodeJS.Timeout) => clearTimeout(handle),
}

/** Describes a value for an error message, without a long string, which may be a secret. */
function shown(value: unknown): string {
  if (typeof value === 'string')
    return value.length > 40 ? `a string of ${value.length} characters` : JSON.stringify(value)
  if (typeof value === 'number' || typeof value === 'boolean' || value === null || value === undefined)
    return String(value)
  return Array.isArray(value) ? 'an array' : `a ${typeof value}`
}

export function expected(option: string, what: string, got: unknown): never {
  throw new InvalidOptionError(`${option}: expected ${what}, got ${shown(got)}`)
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Throws for every key of `value` that is not in `known`. */
export function refuseUnknown(name: string, value: object, known: readonly string[]): void {
  for (const key of Object.keys(value)) {
    if (!known.includes(key)) {
      throw new InvalidOptionError(`${name}${key}: no such option; there are ${known.join(', ')}`)
    }
  }
}

const types: Record<keyof BrokerOptions, (option: string, value: unknown) => void> = {
  id: (option, value) => {
    if (typeof value !== 'string' || value === '') expected(option, 'a string that is not empty', value)
  },
  plugins: (option, value) => {
    if (!Array.isArray(value)) expected(option, 'an array of plugins', value)
    for (const [index, plugin] of value.entries()) checkPlugin(plugin, `${option}[${index}]`)
  },
  limits: (option, value) => {
    if (!isObject(value)) expected(option, 'an object', value)
    refuseUnknown('limits.', value, Object.keys(defaultLimits))
    for (const [name, limit] of Object.entries(value)) if (limit !== undefined) checkLimit(name as keyof Limits, limit)
  },
  allowAnonymous: isBoolean,
  sessionOwner: (option, value) => {
    if (value !== 'user' && value !== 'anyone' && typeof value !== 'function') {
      expected(option, "'user', 'anyone' or a function", value)
    }
  },
  allowControlCharacters: isBoolean,
  allowLongClientIdentifiers: isBoolean,
  maximumQoS: isQoS,
  retainAvailable: isBoolean,
  wildcardSubscriptionAvailable: isBoolean,
  subscriptionIdentifiersAvailable: isBoolean,
  sharedSubscriptionAvailable: isBoolean,
  copyPerSubscription: (option, value) => {
    if (typeof value !== 'boolean' && typeof value !== 'function') expected(option, 'true, false or a function', value)
  },
  responseInformation: (option, value) => {
    if (typeof value !== 'string' && typeof value !== 'function') expected(option, 'a string or a function', value)
  },
  sysInterval: (option, value) => {
    if (value !== false && !(typeof value === 'number' && value >= 1))
      expected(option, 'milliseconds from 1, or false', value)
  },
  emitter: (option, value) => hasMethods(option, value, ['on', 'emit', 'removeListener', 'close']),
  persistence: (option, value) => {
    if (has(value, ['open', 'readAll', 'readSession', 'commit', 'close'])) return
    if (has(value, ['setup', 'outgoingEnqueue', 'outgoingStream', 'destroy'])) return
    const storage = 'a Storage with the methods open, readAll, readSession, commit and close'
    expected(option, `log({ dir }), ${storage}, or a persistence made for aedes`, value)
  },
  store: (option, value) => {
    if (typeof value !== 'string' || value === '') expected(option, 'the path of a directory', value)
  },
  logger: (option, value) => hasMethods(option, value, ['debug', 'info', 'warn', 'error']),
  signal: (option, value) => {
    if (!(value instanceof AbortSignal)) expected(option, 'an AbortSignal', value)
  },
  clock: (option, value) => hasMethods(option, value, ['now', 'setTimeout', 'clearTimeout']),
}

function isQoS(option: string, value: unknown): void {
  if (value !== 0 && value !== 1 && value !== 2) expected(option, '0, 1 or 2', value)
}

export function isBoolean(option: string, value: unknown): void {
  if (typeof value !== 'boolean') expected(option, 'true or false', value)
}

function hasMethods(option: string, value: unknown, methods: readonly string[]): void {
  if (!has(value, methods)) expected(option, `an object with the methods ${methods.join(', ')}`, value)
}

function has(value: unknown, methods: readonly string[]): boolean {
  if (!isObject(value) && typeof value !== 'function') return false
  return methods.every((name) => typeof (value as Record<string, unknown>)[name] === 'function')
}

function checkLimit(name: keyof Limits, value: unknown): void {
  const [from, to] = ranges[name] ?? [0, Infinity]
  const isWhole = Number.isInteger(value) || value === Infinity
  if (!isWhole || Number(value) < from || Number(value) > to) {
    expected(`limits.${name}`, `a whole number from ${from} to ${to}`, value)
  }
}

/** Throws an `InvalidOptionError` for an unknown hook too: a misspelt hook would be a check that never runs. */
export function checkPlugin(plugin: unknown, option = 'plugin'): void {
  if (!isObject(plugin)) expected(option, 'an object', plugin)
  if (typeof plugin.name !== 'string' || plugin.name === '')
    expected(`${option}.name`, 'a string that is not empty', plugin.name)
  for (const name of hookNames) {
    if (plugin[name] !== undefined && typeof plugin[name] !== 'function')
      expected(`${option}.${name}`, 'a function', plugin[name])
  }
  for (const key of Object.keys(plugin)) {
    if (typeof plugin[key] === 'function' && !hookNames.some((name) => name === key)) {
      throw new InvalidOptionError(`${option}.${key}: no such hook; there are ${hookNames.join(', ')}`)
    }
  }
}

/** Throws for a reason or for options that `client.disconnect` does not know. */
export function checkDisconnect(reason: unknown, options: unknown): void {
  const isCode = Number.isInteger(reason) && Number(reason) >= 0 && Number(reason) <= 0xff
  if (!isCode && !isReasonName(reason)) expected('disconnect', 'a Reason Code or its name', reason)
  if (options === undefined) return
  if (!isObject(options)) expected('disconnect', 'an object of options', options)
  refuseUnknown('disconnect.', options, ['reasonString', 'serverReference', 'userProperties'])
  const fault = faultIn(options, 'disconnect')
  if (fault !== undefined) throw new InvalidOptionError(`disconnect: ${fault}`)
}

const subscribeTypes: Record<keyof SubscribeOptions, (option: string, value: unknown) => void> = {
  qos: isQoS,
  retained: isBoolean,
  signal: types.signal,
  highWaterMark: (option, value) => {
    if (!Number.isInteger(value) || Number(value) < 1) expected(option, 'a whole number from 1', value)
  },
  overflow: (option, value) => {
    if (value !== 'drop-oldest' && value !== 'pause' && value !== 'error') {
      expected(option, "'drop-oldest', 'pause' or 'error'", value)
    }
  },
}

/** The options of `broker.subscribe`. */
export function checkSubscribeOptions(options: SubscribeOptions): void {
  if (!isObject(options)) expected('subscribe', 'an object of options', options)
  refuseUnknown('subscribe.', options, Object.keys(subscribeTypes))
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined) subscribeTypes[name as keyof SubscribeOptions](`subscribe.${name}`, value)
  }
}

/** Options that have a signal and nothing else. `name` is that of the method, with a dot. */
export function checkSignal(name: string, options: { signal?: AbortSignal }): { signal?: AbortSignal } {
  if (!isObject(options)) expected(name.slice(0, -1), 'an object of options', options)
  refuseUnknown(name, options, ['signal'])
  if (options.signal !== undefined) types.signal(`${name}signal`, options.signal)
  return options
}

const closeTypes: Record<string, (option: string, value: unknown) => void> = {
  leaveMs: isMilliseconds,
  graceMs: isMilliseconds,
  reason: (option, value) => {
    if (!isReasonName(value)) expected(option, "the name of a Reason Code, such as 'server-shutting-down'", value)
  },
}

function isMilliseconds(option: string, value: unknown): void {
  // A longer time is no time for a timer of Node.js.
  if (!(typeof value === 'number' && value >= 0 && value <= 0x7fff_ffff))
    expected(option, 'milliseconds from 0 to 2,147,483,647', value)
}

/** The options of `broker.close`. */
export function checkCloseOptions(options: unknown): void {
  if (!isObject(options)) expected('close', 'an object of options', options)
  refuseUnknown('close.', options, Object.keys(closeTypes))
  for (const [name, value] of Object.entries(options))
    if (value !== undefined) closeTypes[name]?.(`close.${name}`, value)
}

function withoutUndefined<T extends object>(values: T): Partial<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<T>
}

/** Checks the options and fills in the defaults. Throws an `InvalidOptionError` with what is expected. */
export function parseOptions<S>(options: BrokerOptions<S> = {}): Settings {
  const given: unknown = options
  if (!isObject(given)) expected('options', 'an object', given)
  for (const name of Object.keys(options)) {
    const instead = Object.hasOwn(types, name) ? undefined : insteadOfOption(name)
    if (instead !== undefined) throw new InvalidOptionError(`${name}: no such option; ${instead}`)
  }
  refuseUnknown('', options, Object.keys(types))
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined) types[name as keyof BrokerOptions](name, value)
  }
  const { responseInformation } = options
  if (options.store !== undefined && options.persistence !== undefined) {
    throw new InvalidOptionError('store: there is a persistence too; a broker has one of them')
  }
  return {
    id: options.id ?? randomUUID(),
    plugins: (options.plugins ?? []) as unknown as readonly Plugin<never>[],
    limits: { ...defaultLimits, ...withoutUndefined(options.limits ?? {}) },
    allowAnonymous: options.allowAnonymous ?? false,
    sessionOwner: options.sessionOwner as Settings['sessionOwner'],
    allowControlCharacters: options.allowControlCharacters ?? false,
    allowLongClientIdentifiers: options.allowLongClientIdentifiers ?? false,
    maximumQoS: options.maximumQoS ?? 2,
    retainAvailable: options.retainAvailable ?? true,
    wildcardSubscriptionAvailable: options.wildcardSubscriptionAvailable ?? true,
    subscriptionIdentifiersAvailable: options.subscriptionIdentifiersAvailable ?? true,
    sharedSubscriptionAvailable: options.sharedSubscriptionAvailable ?? true,
    copyPerSubscription: (options.copyPerSubscription ?? false) as Settings['copyPerSubscription'],
    responseInformation: typeof responseInformation === 'function' ? responseInformation : () => responseInformation,
    sysInterval: options.sysInterval ?? 10_000,
    emitter: options.emitter,
    persistence: options.persistence,
    store: options.store,
    logger: options.logger,
    signal: options.signal,
    clock: options.clock ?? systemClock,
  }
}
