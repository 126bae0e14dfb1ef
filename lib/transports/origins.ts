import type { IncomingMessage } from 'node:http'

const loopbackNames = new Set(['localhost', '127.0.0.1', '[::1]'])

/**
 * Returns whether the web page behind this request may connect. Browsers let any page open a WebSocket to any server,
 * also to one that only listens on this machine, and send the user's cookies and client certificate along. They always
 * send the page's address as Origin; other programs send none, and may connect.
 *
 * Without a list, a page may connect to the host that it came from, whatever its port: a page of `http://pi.local`
 * to `ws://pi.local:8083`. A connection over the loopback interface must also use a loopback name: a foreign page can
 * map its own name to the address 127.0.0.1 ("DNS rebinding") and then has the same host.
 * Behind a proxy on the same machine, list the origins.
 */
export function isOriginAllowed(request: IncomingMessage, origins: readonly string[] | undefined): boolean {
  const { origin, 'sec-websocket-origin': oldOrigin } = request.headers
  return [origin, oldOrigin].every((value) => {
    if (value === undefined) return true
    if (origins !== undefined) return origins.includes('*') || origins.some((one) => one.toLowerCase() === value)
    return typeof value === 'string' && isSameHost(value, request)
  })
}

function isSameHost(origin: string, request: IncomingMessage): boolean {
  const page = hostnameOf(origin)
  const host = hostnameOf(`http://${request.headers.host}`)
  if (page === undefined || host === undefined) return false
  if (loopbackNames.has(host)) return loopbackNames.has(page)
  return page === host && !isLoopback(request.socket.localAddress)
}

function hostnameOf(url: string): string | undefined {
  // `null`, the Origin of sandboxed pages and files, is not a URL: it needs a list that names it.
  return URL.canParse(url) ? new URL(url).hostname : undefined
}

function isLoopback(address: string | undefined): boolean {
  return address === undefined || address === '::1' || /^(::ffff:)?127\./.test(address)
}
