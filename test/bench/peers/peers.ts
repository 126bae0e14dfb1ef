/** The brokers that are compared: starts and ends each of them and finds its address. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { freePort } from '../../support/free-port.ts'

export type PeerName = 'haltere' | 'mosquitto' | 'aedes' | 'relay'
export const peerNames: readonly PeerName[] = ['haltere', 'mosquitto', 'aedes', 'relay']

/** A running broker. */
export interface Peer {
  readonly name: PeerName
  readonly pid: number
  readonly port: number
  /** Undefined if the broker has no WebSocket listener. */
  readonly webSocketPort: number | undefined
  readonly memoryPort: number | undefined
  signal(name: 'SIGSTOP' | 'SIGCONT'): void
  stop(): Promise<void>
}

export interface StartOptions {
  /** Whether the broker stores its state on disk. */
  readonly withStore?: boolean | undefined
  /** Haltere only: loads the memory probe. */
  readonly withProbe?: boolean | undefined
  /** Haltere only: the folder of another build. */
  readonly build?: string | undefined
}

export const root: string = join(import.meta.dirname, '../../../..') // From dist/test/bench/peers.
const aedesFolder = join(root, 'test/bench/peers')

// Raises every limit that a work would reach, because the works measure code paths, not limits.
const haltereConfiguration = {
  limits: {
    maxConnectionsPerIp: 100_000,
    maxQueuedMessages: 1_000_000,
    maxQueuedBytes: 4_294_967_296,
    maxTotalQueuedBytes: 4_294_967_296,
    maxSubscriptionsPerClient: 1_000_000,
    maxRetained: 1_000_000,
    maxRetainedBytes: 4_294_967_296,
  },
}

function mosquittoPath(): string | undefined {
  // PATH first, so that a release other than Debian's can be measured.
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin']
  return folders.map((folder) => join(folder, 'mosquitto')).find((path) => existsSync(path))
}

/** Returns the reason why a peer cannot run here, or undefined. */
export function absence(name: PeerName): string | undefined {
  if (name === 'mosquitto' && mosquittoPath() === undefined) return 'not installed (apt-get install mosquitto)'
  if (name === 'haltere' && !existsSync(join(root, 'dist/lib/cli.js'))) return 'not built (npm run build)'
  return undefined
}

/** Installs the packages of a peer that are no dependency of this package. */
export function install(name: PeerName): void {
  if (name !== 'aedes' || existsSync(join(aedesFolder, 'node_modules/aedes'))) return
  execFileSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: aedesFolder, stdio: 'ignore' })
}

function versionIn(file: string): string {
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}

const versions: Record<PeerName, () => string> = {
  haltere: () => versionIn(join(root, 'package.json')),
  aedes: () => versionIn(join(aedesFolder, 'node_modules/aedes/package.json')),
  // `-h` prints the version, and exits with code 3 in some releases.
  mosquitto: () => /version (\S+)/.exec(spawnSync(mosquittoPath()!, ['-h'], { encoding: 'utf8' }).stdout)?.[1] ?? '',
  relay: () => '',
}

export function versionOf(name: PeerName): string {
  return versions[name]()
}

async function untilItListens(port: number, child: ChildProcess): Promise<void> {
  for (let attempt = 0; attempt < 250; attempt += 1) {
    if (child.exitCode !== null) throw new Error(`ended with code ${child.exitCode} before it listened`)
    const socket = connect(port, '127.0.0.1')
    try {
      await once(socket, 'connect')
      return
    } catch {
      await delay(20)
    } finally {
      socket.destroy()
    }
  }
  throw new Error('does not listen after 5 s')
}

/** Reads `count` lines of the form `listening URL`. */
async function announcedPorts(child: ChildProcess, count: number): Promise<Map<string, number>> {
  const ports = new Map<string, number>()
  let text = ''
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('does not listen after 10 s')), 10_000)
    child.once('exit', (code) => reject(new Error(`ended with code ${code} before it listened`)))
    child.stdout?.on('data', (chunk: Buffer) => {
      text += chunk.toString()
      for (const [, scheme, port] of text.matchAll(/listening (\w+):\/\/[^\s/]*:(\d+)\S*\s/g)) {
        ports.set(scheme!, Number(port))
      }
      if (ports.size < count) return
      clearTimeout(timer)
      resolve(ports)
    })
  })
}

// Any end of this process ends the brokers that it started.
const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

function peerOf(name: PeerName, child: ChildProcess, ports: Map<string, number>, folder: string): Peer {
  return {
    name,
    pid: child.pid!,
    port: ports.get('mqtt')!,
    webSocketPort: ports.get('ws'),
    memoryPort: ports.get('memory'),
    signal: (signal) => void child.kill(signal),
    async stop() {
      // SIGKILL, because no session or message of the broker is needed any more.
      if (child.exitCode === null && child.signalCode === null) {
        const ended = once(child, 'exit')
        child.kill('SIGKILL')
        await ended
      }
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function spawnIn(folder: string, command: string, args: string[]): ChildProcess {
  const child = spawn(command, args, { cwd: folder, stdio: ['ignore', 'pipe', 'ignore'] })
  running.add(child)
  child.once('exit', () => running.delete(child))
  return child
}

async function startNode(name: PeerName, folder: string, args: string[], listeners: number): Promise<Peer> {
  const child = spawnIn(folder, process.execPath, args)
  return peerOf(name, child, await announcedPorts(child, listeners), folder)
}

async function startMosquitto(folder: string, { withStore }: StartOptions): Promise<Peer> {
  const port = await freePort()
  const file = join(folder, 'mosquitto.conf')
  const lines = [
    `user ${userInfo().username}`,
    ...(withStore === true ? ['persistence true', `persistence_location ${folder}/`] : ['persistence false']),
    'log_type none',
    'max_queued_messages 0',
    'max_queued_bytes 0',
    'set_tcp_nodelay true',
    'allow_anonymous true',
    `listener ${port} 127.0.0.1`,
  ]
  writeFileSync(file, lines.join('\n'))
  const child = spawnIn(folder, mosquittoPath()!, ['-c', file])
  child.stdout?.resume()
  await untilItListens(port, child)
  return peerOf('mosquitto', child, new Map([['mqtt', port]]), folder)
}

function startHaltere(folder: string, { withStore, withProbe, build = root }: StartOptions): Promise<Peer> {
  const file = join(folder, 'haltere.json')
  writeFileSync(file, JSON.stringify(haltereConfiguration))
  const probe = ['--expose-gc', '--import', pathToFileURL(join(import.meta.dirname, 'memory-probe.js')).href]
  const store = ['--store', join(folder, 'store')]
  const args = [
    ...(withProbe === true ? probe : []),
    join(build, 'dist/lib/cli.js'),
    '--port=0',
    '--ws-port=0',
    '--quiet',
    `--config=${file}`,
    ...(withStore === true ? store : []),
  ]
  return startNode('haltere', folder, args, withProbe === true ? 3 : 2)
}

const starts: Record<PeerName, (folder: string, options: StartOptions) => Promise<Peer>> = {
  haltere: startHaltere,
  mosquitto: startMosquitto,
  aedes: (folder) => startNode('aedes', folder, [join(aedesFolder, 'aedes.mjs')], 2),
  relay: (folder) => startNode('relay', folder, [join(import.meta.dirname, 'relay.js')], 1),
}

function folderFor(name: string): string {
  return mkdtempSync(join(tmpdir(), `bench-${name}-`))
}

/** A fresh broker, in a folder of its own. */
export function start(name: PeerName, options: StartOptions = {}): Promise<Peer> {
  return starts[name](folderFor(name), options)
}

/** A fresh haltere inside the program of `host.ts`. */
export function startHost(): Promise<Peer> {
  const program = join(import.meta.dirname, 'host.js')
  return startNode('haltere', folderFor('host'), [program, JSON.stringify(haltereConfiguration)], 1)
}
