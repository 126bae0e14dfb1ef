import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { isReference, startBroker } from './brokers.ts'
import { available, needs } from './programs.ts'

const chromium = ['chromium', 'chromium-browser', 'google-chrome'].find((name) => available(name, ['--version']))
const options = needs('Chromium', chromium !== undefined)

const bundle = join(dirname(createRequire(import.meta.url).resolve('mqtt/package.json')), 'dist/mqtt.min.js')

/** What the page does; it tells the test by `fetch` how it went. */
const page = `<!doctype html><meta charset="utf-8"><script src="/mqtt.min.js"></script><script>
const parameters = new URLSearchParams(location.search)
const report = (result) => fetch('/result', { method: 'POST', body: JSON.stringify(result) })
const received = []
const client = mqtt.connect(parameters.get('broker'), {
  protocolVersion: Number(parameters.get('version')), reconnectPeriod: 0, connectTimeout: 300000 })
client.on('connect', async () => {
  await client.subscribeAsync('browser/#', { qos: 2 })
  for (const qos of [0, 1, 2]) await client.publishAsync('browser/' + qos, 'grüße ' + qos, { qos })
})
client.on('message', async (topic, payload, { qos }) => {
  received.push([topic, new TextDecoder().decode(payload), qos])
  if (received.length < 3) return
  await client.endAsync()
  report({ received })
})
client.on('error', (error) => report({ error: String(error) }))
client.on('close', () => { if (received.length < 3) report({ error: 'closed' }) })
</script>`

/** Opens the page as `host` in a new browser with nothing of its user's, and waits for its report. */
function visit(t: TestContext, host: string, broker: string, version: number): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const server = createServer((request, response) => {
      if (request.url === '/mqtt.min.js') {
        response.setHeader('Content-Type', 'text/javascript').end(readFileSync(bundle))
      } else if (request.url === '/result') {
        request.setEncoding('utf8').on('data', (result: string) => resolve(JSON.parse(result)))
        response.end()
      } else {
        response.setHeader('Content-Type', 'text/html').end(page)
      }
    })
    t.after(() => {
      server.close()
      server.closeAllConnections()
    })
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      const url = `http://${host}:${port}/?broker=${encodeURIComponent(broker)}&version=${version}`
      startChromium(t, url).catch(reject)
    })
  })
}

async function startChromium(t: TestContext, url: string): Promise<void> {
  const profile = mkdtempSync(join(tmpdir(), 'haltere-chromium-'))
  const flags = [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--host-resolver-rules=MAP foreign.example 127.0.0.1',
    // A page of http://foreign.example asks before it may reach 127.0.0.1; here the broker must be the one to refuse.
    '--disable-features=LocalNetworkAccessChecks,LocalNetworkAccessChecksWebSockets,BlockInsecurePrivateNetworkRequests',
    `--user-data-dir=${profile}`,
  ]
  // A process group of its own: the browser is many processes, and all must go.
  const child = spawn(chromium ?? 'chromium', [...flags, url], { stdio: 'ignore', detached: true })
  const closed = new Promise((resolve) => child.once('close', resolve))
  t.after(async () => {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    await closed
    rmSync(profile, { recursive: true, force: true, maxRetries: 10 })
  })
  await once(child, 'spawn')
}

const everything = { received: [0, 1, 2].map((qos) => [`browser/${qos}`, `grüße ${qos}`, qos]) }

for (const version of [4, 5]) {
  test(`MQTT.js in Chromium over a WebSocket, protocol version ${version}`, options, async (t) => {
    const { wsUrl } = await startBroker(t)
    assert.deepEqual(await visit(t, '127.0.0.1', wsUrl, version), everything)
  })
}

const unlessReference = isReference ? { skip: 'Mosquitto lets every page in' } : options
test('a page of another host in Chromium cannot reach the broker', unlessReference, async (t) => {
  const { wsUrl } = await startBroker(t)
  assert.deepEqual(Object.keys(Object(await visit(t, 'foreign.example', wsUrl, 5))), ['error'])
})

test('a page of another host in Chromium reaches the broker when origins lists it', unlessReference, async (t) => {
  const { wsUrl } = await startBroker(t, undefined, { origins: ['*'] })
  assert.deepEqual(await visit(t, 'foreign.example', wsUrl, 5), everything)
})
