import type { ReasonName } from './reason-codes.ts'

/** The options of `broker.close`. */
export interface CloseOptions {
  /**
   * Milliseconds from 0 for Clients to leave by themselves, before the broker sends a DISCONNECT. Meanwhile the broker
   * accepts no connections, and handles all packets of the others. Ends when the last of them is closed. Default: 0.
   */
  readonly leaveMs?: number
  /**
   * Milliseconds from 0 for Clients to read the remaining packets and to close; then their connections are
   * destroyed. Default: 1,000.
   */
  readonly graceMs?: number
  /** The Reason Code of the DISCONNECT to MQTT 5.0 Clients (section 3.14.2.1). Default: `server-shutting-down`. */
  readonly reason?: ReasonName
}
