export { InvalidOptionError, MqttError, type MqttErrorOptions, ProtocolError } from './errors.ts'
export type { ReasonName } from '../types/reason-codes.ts'
export type * from '../types/properties.ts'
export type * from '../types/packets.ts'
