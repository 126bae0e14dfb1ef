/** aedes-persistence has no types for this file. */
declare module 'aedes-persistence/promisified.js' {
  /** The promise form of a persistence that has callbacks only. */
  export const PromisifiedPersistence: new (instance: object) => object
}
