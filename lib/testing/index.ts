/** For authors of stores: `haltere/testing`. */
export {
  type PersistenceTestOptions,
  type TestFunction,
  type TestFunctionContext,
  testPersistence,
} from './test-persistence.ts'
export type { PersistencePart } from './persistence-part.ts'
export type * from '../../types/emitter.ts'
export type * from '../../types/packets.ts'
export type * from '../../types/persistence.ts'
export type * from '../../types/properties.ts'
export type * from '../../types/storage.ts'
