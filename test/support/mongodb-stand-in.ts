/**
 * The part of a MongoDB database that aedes-persistence-mongodb uses, in this process. Every document passes the real
 * serialiser, so results have the real types: Binary for bytes, null for undefined.
 */
import { BSON, type Document } from 'mongodb'

type Filter = Readonly<Record<string, unknown>>
interface Update {
  readonly $set?: Document
}
interface Write {
  readonly updateOne?: { readonly filter: Filter; readonly update: Update; readonly upsert?: boolean }
  readonly deleteOne?: { readonly filter: Filter }
}

const copy = (document: Document): Document => BSON.deserialize(BSON.serialize(document))

/** The value at `packet.messageId`. */
function at(document: Document, path: readonly string[]): unknown {
  let value: unknown = document
  for (const key of path) value = (value as Document | null | undefined)?.[key]
  return value ?? undefined
}

/** Does a document match a filter? */
function matcher(filter: Filter): (document: Document) => boolean {
  const tests = Object.entries(filter).map(([path, wanted]) => ({ path: path.split('.'), test: valueTest(wanted) }))
  return (document) => tests.every(({ path, test }) => test(at(document, path)))
}

function valueTest(wanted: unknown): (value: unknown) => boolean {
  if (wanted instanceof RegExp) return (value) => typeof value === 'string' && wanted.test(value)
  if (typeof wanted !== 'object' || wanted === null) return (value) => value === (wanted ?? undefined)
  const { $gte, $nin } = wanted as { $gte?: number; $nin?: readonly unknown[] }
  if ($nin !== undefined) return (value) => !$nin.includes(value)
  if ($gte !== undefined) return (value) => typeof value === 'number' && value >= $gte
  throw new Error(`the stand-in does not know the filter ${JSON.stringify(wanted)}`)
}

class Cursor {
  readonly #documents: readonly Document[]

  constructor(documents: readonly Document[]) {
    this.#documents = documents
  }

  project(exclude: Document): Cursor {
    return new Cursor(
      this.#documents.map((document) =>
        Object.fromEntries(Object.entries(document).filter(([key]) => !(key in exclude))),
      ),
    )
  }

  async toArray(): Promise<Document[]> {
    return this.#documents.map(copy)
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Document> {
    for (const document of this.#documents) yield copy(document)
  }
}

class Collection {
  #documents: Document[] = []

  async createIndex(): Promise<void> {}

  find(filter: Filter): Cursor {
    // In the order of the index of the real database, in which messages without an identifier come first.
    const found = this.#documents.filter(matcher(filter))
    const id = (document: Document): number => Number(at(document, ['packet', 'messageId']) ?? 0)
    return new Cursor(found.toSorted((a, b) => id(a) - id(b)))
  }

  async findOne(filter: Filter): Promise<Document | null> {
    const found = this.#documents.find(matcher(filter))
    return found === undefined ? null : copy(found)
  }

  async insertOne(document: Document): Promise<void> {
    this.#documents.push(copy({ ...document, _id: new BSON.ObjectId() }))
  }

  async insertMany(documents: readonly Document[]): Promise<void> {
    for (const document of documents) await this.insertOne(document)
  }

  async updateOne(filter: Filter, { $set = {} }: Update, upsert = false): Promise<void> {
    let found = this.#documents.find(matcher(filter))
    if (found === undefined) {
      if (!upsert) return
      found = copy({ ...filter, _id: new BSON.ObjectId() })
      this.#documents.push(found)
    }
    for (const [path, value] of Object.entries(copy($set))) {
      const keys = path.split('.')
      const last = keys.pop() ?? ''
      const parent = keys.reduce<Document>((document, key) => document[key] as Document, found)
      Object.defineProperty(parent, last, { value, enumerable: true, writable: true, configurable: true })
    }
  }

  async deleteOne(filter: Filter): Promise<void> {
    await this.findOneAndDelete(filter)
  }

  async deleteMany(filter: Filter): Promise<void> {
    const matches = matcher(filter)
    this.#documents = this.#documents.filter((document) => !matches(document))
  }

  async findOneAndDelete(filter: Filter): Promise<Document | null> {
    const index = this.#documents.findIndex(matcher(filter))
    const [deleted] = index === -1 ? [] : this.#documents.splice(index, 1)
    return deleted === undefined ? null : copy(deleted)
  }

  async bulkWrite(writes: readonly Write[]): Promise<void> {
    if (writes.length === 0) throw new Error('Invalid BulkOperation, Batch cannot be empty')
    for (const { updateOne, deleteOne } of writes) {
      if (updateOne !== undefined) await this.updateOne(updateOne.filter, updateOne.update, updateOne.upsert)
      if (deleteOne !== undefined) await this.deleteOne(deleteOne.filter)
    }
  }

  /** Supports only the count of Clients. */
  aggregate(): Cursor {
    const clientsCount = new Set(this.#documents.map(({ clientId }) => clientId as string)).size
    return new Cursor(clientsCount === 0 ? [] : [{ clientsCount }])
  }
}

export class MongoStandIn {
  readonly #collections = new Map<string, Collection>()

  collection(name: string): Collection {
    const collection = this.#collections.get(name) ?? new Collection()
    this.#collections.set(name, collection)
    return collection
  }
}
