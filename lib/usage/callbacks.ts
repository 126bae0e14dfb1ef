import { InvalidOptionError } from '../errors.ts'

/**
 * Throws at once for a function among the arguments: a callback would never be called. Thrown and not rejected, because
 * `util.promisify` and `new Promise((done) => broker.close(done))` look at nothing else.
 *
 * @param call - the call as it is to be written
 */
export function refuseCallback(call: string, values: ArrayLike<unknown>): void {
  for (let index = 0; index < values.length; index += 1) {
    if (typeof values[index] !== 'function') continue
    throw new InvalidOptionError(`${call}: takes no callback; it returns a promise: write await ${call}`)
  }
}
