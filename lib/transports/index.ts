import type { Listener, ListenOptionsMap } from '../../types/listen.ts'
import type { Accept, ListenContext } from './listener.ts'
import { listenTcp } from './tcp.ts'
import { listenTls } from './tls.ts'
import { listenSecureWebSocket, listenWebSocket } from './websocket.ts'

/** The options of each transport. */
type Options = Required<ListenOptionsMap>

/** A key of the options of `broker.listen`. */
export type TransportName = keyof Options

/**
 * Opens a listener. Resolves when it takes connections; rejects with an `InvalidOptionError`, or with the error of the
 * system (`EADDRINUSE`, `EACCES`, …).
 */
export type Listen<Name extends TransportName> = (
  options: Options[Name],
  accept: Accept,
  context?: ListenContext,
) => Promise<Listener>

/** The transports that can listen. A new one is a row here and its options in `ListenOptionsMap`. */
export const transports: { readonly [Name in TransportName]: Listen<Name> } = {
  tcp: listenTcp,
  tls: listenTls,
  ws: listenWebSocket,
  wss: listenSecureWebSocket,
}
