import { MemoryPersistence } from '../../lib/storage/memory/memory-persistence.ts'
import { StoreModel } from '../../lib/testing/commit/model.ts'
import type {
  PersistedSessionState,
  PersistedState,
  PersistedSubscription,
  Persistence,
  PersistenceClient,
  PersistenceOperation,
} from '../../types/persistence.ts'
import type { Storage } from '../../types/storage.ts'

export interface SoundStore extends Required<Persistence>, Pick<Storage, 'open' | 'readSession' | 'close'> {
  readonly model: StoreModel
}

/** A store that does all that it has to do, and that can be opened again as often as one likes. */
export function soundStore(): SoundStore {
  const model = new StoreModel()
  const memory = new MemoryPersistence()
  const granted = new Map<string, PersistedSubscription>()
  const add = memory.addSubscriptions.bind(memory)
  const byClient = memory.subscriptionsByClient.bind(memory)
  const stateOf = (clientId: string): PersistedSessionState | undefined => {
    const session = model.sessions.get(clientId)
    return (
      session && {
        ...session,
        kind: 'session',
        clientId,
        subscriptions: [...session.subscriptions.values()],
        queue: [...session.sent, ...session.waiting],
        incoming: [...session.incoming],
      }
    )
  }
  return Object.assign(memory, {
    model,
    destroy: async () => undefined,
    async addSubscriptions(client: PersistenceClient, subscriptions: readonly PersistedSubscription[]) {
      for (const each of subscriptions) granted.set(`${client.id}\0${each.topic}`, each)
      await add(client, subscriptions)
    },
    async subscriptionsByClient(client: PersistenceClient) {
      const stored = await byClient(client)
      return stored.map((each) => granted.get(`${client.id}\0${each.topic}`) ?? each)
    },
    async commit(operations: readonly PersistenceOperation[]) {
      model.commit(operations)
    },
    async *readAll(): AsyncGenerator<PersistedState, void, undefined> {
      for (const packet of model.retained.values()) yield { kind: 'retained', packet }
      for (const clientId of model.sessions.keys()) yield stateOf(clientId)!
    },
    readSession: async (clientId: string) => stateOf(clientId),
  })
}
