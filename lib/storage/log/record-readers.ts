import { RecordReaderV1 } from './read-records-v1.ts'
import { RecordReaderV2 } from './read-records-v2.ts'
import type { RecordReader } from './record-reader.ts'

/** The readers for all readable versions of the format. Each reuses the strings that it has read recently. */
export class RecordReaders {
  readonly #readers: (RecordReader | undefined)[] = []

  of(version: number): RecordReader {
    this.#readers[version] ??= version === 1 ? new RecordReaderV1() : new RecordReaderV2()
    return this.#readers[version]
  }
}
