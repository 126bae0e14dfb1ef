import type { IncomingMessage, ServerResponse } from 'node:http'
import type { BrokerHealth } from '../../types/health.ts'
import type { Listener } from '../../types/listen.ts'

/** The parts of the broker whose state counts. */
export interface HealthContext {
  readonly lifecycle: { readonly state: BrokerHealth['state']; readonly restored: Promise<void> | undefined }
  readonly listeners: { readonly open: readonly Listener[] }
  /** Undefined without a storage. */
  readonly commits: { readonly isFailing: boolean } | undefined
  readonly cluster: { readonly health: BrokerHealth['brokers'] }
}

export function healthOf({ lifecycle, listeners, commits, cluster }: HealthContext): BrokerHealth {
  const { state } = lifecycle
  const open = listeners.open.map(({ protocol, listening }) => ({ protocol, listening }))
  const store =
    commits === undefined
      ? 'none'
      : lifecycle.restored !== undefined
        ? 'opening'
        : commits.isFailing
          ? 'failing'
          : 'working'
  const brokers = cluster.health
  const healthy =
    state === 'open' &&
    open.every(({ listening }) => listening) &&
    (store === 'none' || store === 'working') &&
    (brokers.state === 'alone' || brokers.state === 'joined')
  return { healthy, state, listeners: open, store, brokers }
}

/** Responds to an HTTP request with 200 for a healthy broker and 503 for another one. Never throws. */
export function respondHealth(health: BrokerHealth, request: IncomingMessage, response: ServerResponse): void {
  const { method = 'GET' } = request
  if (method !== 'GET' && method !== 'HEAD') {
    response.writeHead(405, { Allow: 'GET, HEAD', 'Content-Length': 0 }).end()
    return
  }
  const body = JSON.stringify(health)
  response.writeHead(health.healthy ? 200 : 503, {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
  })
  response.end(method === 'HEAD' ? undefined : body)
}
