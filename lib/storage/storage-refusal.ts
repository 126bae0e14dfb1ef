import { MqttError } from '../errors.ts'

/** The error for a Client after a failed commit: quota exceeded if the disk is full, else implementation specific. */
export function storageRefusal(error: Error): MqttError {
  const code = (error as NodeJS.ErrnoException).code ?? ''
  const isFull = code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG'
  return new MqttError(isFull ? 'quota-exceeded' : 'implementation-specific', 'the store failed', { cause: error })
}
