import type { ConnectionInfo } from '../../types/connection-info.ts'
import type { Limits } from '../../types/options.ts'

/** A Network Connection that is not closed. */
interface OpenConnection {
  readonly info: ConnectionInfo
  end(reasonCode: number): Promise<void>
  /** Ends the connection at once, without a DISCONNECT. */
  destroy(): void
}

/** The Network Connections that are not closed, in all and from each address. */
export class Connections {
  readonly #limits: Readonly<Limits>
  readonly #open = new Set<OpenConnection>()
  readonly #byAddress = new Map<string, number>()
  #whenEmpty: (() => void) | undefined

  constructor(limits: Readonly<Limits>) {
    this.#limits = limits
  }

  hasRoomFor({ remoteAddress }: ConnectionInfo): boolean {
    if (this.#open.size >= this.#limits.maxConnections) return false
    return remoteAddress === undefined || this.#from(remoteAddress) < this.#limits.maxConnectionsPerIp
  }

  add(connection: OpenConnection): void {
    const address = connection.info.remoteAddress
    this.#open.add(connection)
    if (address !== undefined) this.#byAddress.set(address, this.#from(address) + 1)
  }

  delete(connection: OpenConnection): void {
    if (!this.#open.delete(connection)) return
    const address = connection.info.remoteAddress
    if (address !== undefined) {
      const left = this.#from(address) - 1
      if (left > 0) this.#byAddress.set(address, left)
      else this.#byAddress.delete(address)
    }
    if (this.#open.size === 0) this.#whenEmpty?.()
  }

  /** Sends a DISCONNECT to each Client, and destroys the connections that are left after `graceMs`. */
  async close(reasonCode: number, graceMs: number): Promise<void> {
    for (const connection of this.#open) void connection.end(reasonCode)
    await this.empty(graceMs)
    for (const connection of this.#open) connection.destroy()
  }

  /** Resolves when no connection is left, or after this time. */
  async empty(milliseconds: number): Promise<void> {
    if (this.#open.size === 0) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, milliseconds)
      this.#whenEmpty = () => {
        clearTimeout(timer)
        resolve()
      }
    })
    this.#whenEmpty = undefined
  }

  #from(address: string): number {
    return this.#byAddress.get(address) ?? 0
  }
}
