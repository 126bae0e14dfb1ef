import type { Notify } from '../events.ts'
import type { Statistics } from '../statistics.ts'
import type { Client } from './client.ts'

/** The Clients that are connected, by Client Identifier. */
export class ConnectedClients {
  readonly #byId = new Map<string, Client>()
  readonly #statistics: Statistics
  readonly #notify: Notify

  constructor(statistics: Statistics, notify: Notify) {
    this.#statistics = statistics
    this.#notify = notify
  }

  get byId(): ReadonlyMap<string, Client> {
    return this.#byId
  }

  connected(client: Client, sessionPresent: boolean): void {
    this.#byId.set(client.id, client)
    const { size } = this.#byId
    this.#statistics.clientsConnected = size
    this.#statistics.clientsMaximum = Math.max(this.#statistics.clientsMaximum, size)
    this.#notify('clientConnected', client, sessionPresent)
  }

  /** Another connection of the same Client may have replaced it already. */
  disconnected(client: Client): void {
    if (this.#byId.get(client.id) !== client) return
    this.#byId.delete(client.id)
    this.#statistics.clientsConnected = this.#byId.size
  }
}
