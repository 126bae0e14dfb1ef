#!/usr/bin/env node
/** `haltere`, the command: a broker with the options of the command line or of a file, and a log of its events. */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import type { BrokerOptions } from '../types/options.ts'
import type { QoS } from '../types/packets.ts'
import type { ListenOptionsMap } from '../types/listen.ts'
import { Broker } from './broker.ts'
import {
  type CertificateFiles,
  certificateOptions,
  readCertificates,
  replaceCertificates,
} from './command/certificates.ts'
import { type Log, logEvents } from './command/log.ts'
import { directoryStore, redisStore } from './command/storage.ts'
import { flag, port, string, UsageError } from './command/values.ts'
import { InvalidOptionError } from './errors.ts'
import { version } from './version.ts'

// Time limits for closing broker and storage: after a signal, and after a listener could not be opened.
const MAX_CLOSE_MS = 15_000
const MAX_FAILED_START_MS = 1000

// Windows sends it when the console is closed, and then ends the process.
const isClosedBySighup = process.platform === 'win32'

const usage = `haltere ${version}: an MQTT 3.1, 3.1.1 and 5.0 broker

  haltere [options]

  --port N                port for MQTT over TCP (default 1883; 0 lets the system choose)
  --no-tcp                no listener for MQTT over TCP without TLS
  --host H                address to listen on (default 127.0.0.1)
  --ws-port N             port for MQTT over WebSocket (default 8083)
  --no-ws                 no listener for MQTT over WebSocket without TLS
  --ws-path P             path of the WebSocket URL (default /mqtt)
  --ws-origin O           web page that may connect, may be given more than once (default: pages of the same host)
  --tls-port N            port for MQTT over TLS; needs --key and --cert
  --wss-port N            port for MQTT over WebSocket and TLS; needs --key and --cert
  --key F --cert F        private key and certificate, PEM files
  --ca F                  authorities that sign the certificates of Clients, PEM file
  --crl F                 revoked certificates of Clients, PEM file
  --passphrase-file F     file with the passphrase of the private key
  --require-client-cert   refuse Clients without such a certificate
  --store D               directory for what is to outlive the process (default: nothing outlives it)
  --durability W          what it outlives with --store: fsync (power loss, the default), os (its own end), none
  --redis URL             Redis for what is to outlive the process, shared with other brokers that have it
  --config F              JSON file with these options by name and with "limits"
  --maximum-qos N         highest QoS that Clients may publish with: 0, 1 or 2 (default 2)
  --copy-per-subscription send a message once for each subscription of a Client that matches, as Node-RED expects
  --allow-long-client-identifiers
                          accept more than 23 characters in MQTT 3.1
  --session-owner W       who may take over a session: anyone (the default), or user: the same user name or certificate
  --response-information S  the Response Information for Clients that request it
  --allow-control-characters  accept control characters in topics and other strings
  --allow-anonymous       let Clients of other machines in without a password
  --quiet                 print only where it listens
  --verbose               print every event, faults of Clients and payloads included
  --json                  print one JSON object a line
  --version, --help

Without --allow-anonymous it listens on this machine only. SIGINT or SIGTERM ends it.
SIGHUP reads the files of --key, --cert, --ca, --crl and --passphrase-file again.
`

const known = {
  port: { type: 'string' },
  'no-tcp': { type: 'boolean' },
  host: { type: 'string' },
  'ws-port': { type: 'string' },
  'no-ws': { type: 'boolean' },
  'ws-path': { type: 'string' },
  'ws-origin': { type: 'string', multiple: true },
  'tls-port': { type: 'string' },
  'wss-port': { type: 'string' },
  key: { type: 'string' },
  cert: { type: 'string' },
  ca: { type: 'string' },
  crl: { type: 'string' },
  'passphrase-file': { type: 'string' },
  'require-client-cert': { type: 'boolean' },
  store: { type: 'string' },
  durability: { type: 'string' },
  redis: { type: 'string' },
  config: { type: 'string' },
  'maximum-qos': { type: 'string' },
  'copy-per-subscription': { type: 'boolean' },
  'allow-long-client-identifiers': { type: 'boolean' },
  'session-owner': { type: 'string' },
  'response-information': { type: 'string' },
  'allow-control-characters': { type: 'boolean' },
  'allow-anonymous': { type: 'boolean' },
  quiet: { type: 'boolean' },
  verbose: { type: 'boolean' },
  json: { type: 'boolean' },
  version: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const

/** Options of a configuration file only, with their names in the broker. */
const availability = {
  'retain-available': 'retainAvailable',
  'wildcard-subscription-available': 'wildcardSubscriptionAvailable',
  'subscription-identifiers-available': 'subscriptionIdentifiersAvailable',
  'shared-subscription-available': 'sharedSubscriptionAvailable',
} as const

interface Command {
  readonly broker: BrokerOptions
  readonly listen: ListenOptionsMap
  /** The files to read again at a SIGHUP; undefined without TLS. */
  readonly files: CertificateFiles | undefined
  readonly log: 'quiet' | 'normal' | 'verbose'
  readonly json: boolean
  /** The URL of Redis. */
  readonly redis: string | undefined
}

type Values = Record<string, unknown>

function readArguments(args: string[]): Values {
  try {
    return parseArgs({ args, options: known, strict: true, allowPositionals: false }).values
  } catch (error) {
    throw new UsageError((error as Error).message.split(/\. |\n/)[0] ?? '')
  }
}

/** Reads the options of a file, which have the names of the command line. The command line takes precedence. */
function readConfiguration(path: string): Values & { limits?: BrokerOptions['limits'] } {
  let values: unknown
  try {
    values = JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    throw new UsageError(`--config ${path}: ${(error as Error).message}`)
  }
  if (typeof values !== 'object' || values === null || Array.isArray(values)) {
    throw new UsageError(`--config ${path}: expected an object`)
  }
  const names = [
    ...Object.keys(known).filter((name) => !['config', 'version', 'help'].includes(name)),
    'limits',
    'sys-interval',
    'id',
    ...Object.keys(availability),
  ]
  for (const [name, value] of Object.entries(values)) {
    if (!names.includes(name)) throw new UsageError(`--config ${path}: no such option: ${name}`)
    // Checked although the command line takes precedence, so that a file is valid or not for every command line.
    const type = known[name as keyof typeof known]?.type
    if (name.endsWith('port')) port(name, value)
    else if (name === 'maximum-qos') quality(value)
    else if (type === 'boolean' || name in availability) flag(name, value)
    else if (type === 'string') [value].flat().forEach((one) => string(name, one))
  }
  return values as Values
}

function quality(value: unknown): QoS {
  const qos = typeof value === 'string' && /^[012]$/.test(value) ? Number(value) : value
  if (qos !== 0 && qos !== 1 && qos !== 2) {
    throw new UsageError(`--maximum-qos: expected 0, 1 or 2, got ${JSON.stringify(value)}`)
  }
  return qos
}

/** Returns how much is printed; undefined if the values do not say it. The two options exclude each other. */
function logLevel(values: Values): 'quiet' | 'verbose' | undefined {
  const isOn = (name: string): boolean => values[name] !== undefined && flag(name, values[name])
  const [isQuiet, isVerbose] = [isOn('quiet'), isOn('verbose')]
  if (isQuiet && isVerbose) throw new UsageError('--quiet: there is --verbose too')
  return isQuiet ? 'quiet' : isVerbose ? 'verbose' : undefined
}

/** Checks the options. Throws a `UsageError` with the name of the option that is wrong and the reason. */
async function parseCommand(values: Values): Promise<Command> {
  const { config } = values
  const file: Values = config === undefined ? {} : readConfiguration(string('config', config))
  const given: Values = { ...file, ...values }
  const fileLog = logLevel(file)
  const has = (name: string): boolean => given[name] !== undefined
  const isOn = (name: string): boolean => has(name) && flag(name, given[name])
  const host = has('host') ? { host: string('host', given.host) } : {}
  const webSocket = {
    ...host,
    ...(has('ws-path') && { path: string('ws-path', given['ws-path']) }),
    ...(has('ws-origin') && { origins: [given['ws-origin']].flat().map((origin) => string('ws-origin', origin)) }),
  }
  const listen: { -readonly [Key in keyof ListenOptionsMap]: ListenOptionsMap[Key] } = {
    ...(!isOn('no-tcp') && { tcp: { ...host, port: has('port') ? port('port', given.port) : 1883 } }),
    ...(!isOn('no-ws') && { ws: { ...webSocket, port: has('ws-port') ? port('ws-port', given['ws-port']) : 8083 } }),
  }
  const secure = ['tls-port', 'wss-port'].find(has)
  for (const name of [...certificateOptions, 'require-client-cert']) {
    if (has(name) && secure === undefined) throw new UsageError(`--${name}: needs --tls-port or --wss-port`)
  }
  const files =
    secure === undefined ? undefined : Object.fromEntries(certificateOptions.map((name) => [name, given[name]]))
  if (files !== undefined) {
    if (!has('key') || !has('cert')) throw new UsageError(`--${secure}: needs --key and --cert`)
    for (const name of ['require-client-cert', 'crl']) {
      if ((name === 'crl' ? has(name) : isOn(name)) && !has('ca')) throw new UsageError(`--${name}: needs --ca`)
    }
    const tls = {
      ...readCertificates(files),
      ...(has('ca') && { requestCert: true, rejectUnauthorized: isOn('require-client-cert') }),
    }
    if (has('tls-port')) listen.tls = { ...host, ...tls, port: port('tls-port', given['tls-port']) }
    if (has('wss-port')) listen.wss = { ...webSocket, ...tls, port: port('wss-port', given['wss-port']) }
  }
  if (Object.keys(listen).length === 0) throw new UsageError('--no-tcp, --no-ws: there is no other listener')
  const redis = has('redis') ? string('redis', given.redis) : undefined
  if (has('store') && redis !== undefined) throw new UsageError('--store: there is --redis too; a broker has one store')
  if (has('durability') && !has('store')) throw new UsageError('--durability: needs --store')
  const broker = {
    ...(has('store') && (await directoryStore(string('store', given.store), given.durability))),
    allowAnonymous: isOn('allow-anonymous'),
    allowLongClientIdentifiers: isOn('allow-long-client-identifiers'),
    copyPerSubscription: isOn('copy-per-subscription'),
    ...(has('maximum-qos') && { maximumQoS: quality(given['maximum-qos']) }),
    ...Object.fromEntries(
      Object.entries(availability).flatMap(([name, option]) => (has(name) ? [[option, isOn(name)]] : [])),
    ),
    allowControlCharacters: isOn('allow-control-characters'),
    ...(has('session-owner') && { sessionOwner: string('session-owner', given['session-owner']) as 'user' | 'anyone' }),
    ...(has('response-information') && {
      responseInformation: string('response-information', given['response-information']),
    }),
    ...(has('limits') && { limits: given.limits as NonNullable<BrokerOptions['limits']> }),
    ...(has('sys-interval') && { sysInterval: given['sys-interval'] as number | false }),
    ...(has('id') && { id: string('id', given.id) }),
  }
  const log = logLevel(values) ?? fileLog ?? 'normal'
  return { broker, listen, files, log, json: isOn('json'), redis }
}

async function main(): Promise<void> {
  const values = readArguments(process.argv.slice(2))
  if (values.help === true) return void process.stdout.write(usage)
  if (values.version === true) return void process.stdout.write(`${version}\n`)
  // From now on, because the default of SIGHUP is the end of the process.
  let reload: () => void = () => undefined
  if (!isClosedBySighup) process.on('SIGHUP', () => reload())
  const command = await parseCommand(values)
  const redis = command.redis === undefined ? undefined : await redisStore(command.redis)
  const broker = new Broker({ ...command.broker, ...redis?.options })
  const log = logEvents(broker, command)
  for (const signal of ['SIGINT', 'SIGTERM', ...(isClosedBySighup ? (['SIGHUP'] as const) : [])] as const) {
    process.once(signal, () => {
      log.say(`${signal}: closing`)
      exitLater(0, MAX_CLOSE_MS)
      void broker
        .close()
        .then(() => redis?.close())
        .then(() => process.exit(0))
    })
  }
  try {
    for (const listener of await broker.listen(command.listen)) log.listening(listener.url)
    reload = () => reloadCertificates(broker, command.files, log)
  } catch (error) {
    exitLater(1, MAX_FAILED_START_MS)
    void broker.close().then(() => redis?.close())
    throw error
  }
}

/** At a SIGHUP. If the files are wrong, the certificates in use stay. */
function reloadCertificates(broker: Broker, files: CertificateFiles | undefined, log: Log): void {
  if (files === undefined) return log.reloaded('SIGHUP: there are no certificates to read again')
  try {
    replaceCertificates(broker.openListeners, files)
    log.reloaded('SIGHUP: new connections use the certificates that were read again')
  } catch (error) {
    log.fault(`SIGHUP: the certificates in use stay: ${(error as Error).message}`)
  }
}

/** Ends the process although a connection to Redis is still open. */
function exitLater(code: number, milliseconds: number): void {
  setTimeout(() => process.exit(code), milliseconds).unref()
}

/** Prints an error. The exit code is 2 for an error in the command line, else 1, as for a port in use. */
function explain(error: Error & { code?: string; address?: string; port?: number }): void {
  const where = `${error.address ?? ''}:${error.port ?? ''}`
  const causes: Record<string, string> = {
    EADDRINUSE: `${where} is taken by another program`,
    EACCES: `not allowed to listen on ${where}`,
    EADDRNOTAVAIL: `this machine has no address ${error.address ?? ''}`,
  }
  const isUsage = error instanceof UsageError || error instanceof InvalidOptionError
  process.stderr.write(`haltere: ${causes[error.code ?? ''] ?? error.message}\n`)
  if (isUsage) process.stderr.write('Try haltere --help\n')
  process.exitCode = isUsage ? 2 : 1
}

// A terminal that is closed, or a reader of the log that has ended, does not end the broker.
for (const output of [process.stdout, process.stderr]) output.on('error', () => undefined)

main().catch(explain)
