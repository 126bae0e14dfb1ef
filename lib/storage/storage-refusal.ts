import { MqttError } from '../errors.ts'

/** What a Client is told when the store failed: that there is no room, or that it is our fault. */
export function storageRefusal(error: Error): MqttError {
  const code = (error as NodeJS.ErrnoException).code ?? ''
  const isFull = code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG'
  return new MqttError(isFull ? 'quota-exceeded' : 'implementation-specific', 'the store failed', { cause: error })
}
