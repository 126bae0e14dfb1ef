import type { Storage } from '../../types/storage.ts'

/** A store whose code is loaded when it is opened: a broker without a store loads none of it. */
export function lazyStorage(load: () => Promise<Storage>): Storage {
  let opened: Storage | undefined
  const storage = (): Storage => {
    if (opened === undefined) throw new Error('the store is not open')
    return opened
  }
  return {
    async open(broker) {
      opened = await load()
      await opened.open(broker)
    },
    readAll: () => storage().readAll(),
    readSession: (clientId) => storage().readSession(clientId),
    commit: (operations) => storage().commit(operations),
    get findIncoming() {
      const { findIncoming } = storage()
      return findIncoming?.bind(storage())
    },
    get reserved() {
      return opened?.reserved
    },
    get shared() {
      return storage().shared
    },
    close: async () => opened?.close(),
  }
}
