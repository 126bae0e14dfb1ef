import type { Duplex as NodeDuplex } from 'node:stream'
import readable from 'readable-stream'

/**
 * The Duplex of readable-stream: the same behaviour on every version of Node.js.
 * It does all that node's Duplex does, so the rest of the program sees node's type.
 */
export const Duplex: typeof NodeDuplex = readable.Duplex as unknown as typeof NodeDuplex
export type Duplex = NodeDuplex
