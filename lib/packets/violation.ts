import { ProtocolError } from '../errors.ts'
import { ReasonCode } from './reason-codes.ts'

/** A packet that cannot be parsed according to the standard (section 4.13.1). */
export function malformedPacket(message: string): ProtocolError {
  return new ProtocolError(ReasonCode.malformedPacket, message)
}

/** A packet that can be parsed, but that the standard does not allow. */
export function protocolError(message: string): ProtocolError {
  return new ProtocolError(ReasonCode.protocolError, message)
}
