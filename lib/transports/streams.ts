import type { Duplex as NodeDuplex } from 'node:stream'
import readable from 'readable-stream'

/**
 * The Duplex of readable-stream: the same behaviour on every version of Node.js.
 * Its behaviour is a superset of the Duplex of Node.js, so the rest of the program uses that type.
 */
export const Duplex: typeof NodeDuplex = readable.Duplex as unknown as typeof NodeDuplex
export type Duplex = NodeDuplex
