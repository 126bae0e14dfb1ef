import { PromisifiedPersistence } from 'aedes-persistence/promisified.js'
import type { Persistence, PersistenceBroker } from '../../../types/persistence.ts'

/** The members of a persistence before aedes-persistence 10, which had no `setup`. */
interface WithEvents {
  ready?: boolean
  broker?: unknown
  cleanIncoming?: unknown
  setup?: (broker: PersistenceBroker) => unknown
  once?(event: string, listener: (error?: Error) => void): unknown
}

/** The persistence itself when its methods return promises, else a form of it that does. */
export function promiseForm(persistence: object): Persistence {
  const { setup } = persistence as WithEvents
  if (typeof setup === 'function') return persistence as Persistence
  const given: WithEvents = persistence
  const form = new PromisifiedPersistence(persistence) as Persistence // It has the same methods, without types.
  form.setup = (broker) => setUp(given, broker)
  // The form has this method also if the persistence has none.
  if (typeof given.cleanIncoming !== 'function') Object.assign(form, { cleanIncoming: undefined })
  return form
}

/** Sets the broker, and waits for the event `ready` of a persistence that emits it. */
function setUp(persistence: WithEvents, broker: PersistenceBroker): Promise<void> {
  return new Promise((resolve, reject) => {
    persistence.once?.('ready', () => resolve())
    persistence.once?.('error', (error) => reject(error ?? new Error('it cannot be used')))
    persistence.broker = broker
    if (persistence.ready !== false) resolve()
  })
}
