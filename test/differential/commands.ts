import type fc from 'fast-check'
import { type Command, conversation } from '../model/commands.ts'

/** Shared subscriptions have a topic to themselves: who gets a message is the Server's choice. */
export const SHARED_TOPIC = 's/h/a/red'
const leftOut = new Set<Command['do']>(['wait', 'release', 'restart'])
// So long that it never comes, and still it ends with its session.
const LONG = 1000

/** The conversations of the model without what takes time, and without what is the Server's choice. */
export const timelessConversation: fc.Arbitrary<readonly Command[]> = conversation.map((commands) =>
  dropBeforeTakeOver(commands.filter(({ do: what }) => !leftOut.has(what)).map(timeless)),
)

/** Mosquitto forgets the Will of a connection that is taken over (see `avoided`), so those with a Will are dropped first. */
function dropBeforeTakeOver(commands: readonly Command[]): Command[] {
  const withWill = new Set<number>()
  return commands.flatMap((command): Command[] => {
    if (command.do === 'drop' || command.do === 'disconnect') withWill.delete(command.client)
    if (command.do !== 'connect') return [command]
    const drop = withWill.delete(command.client) ? [{ do: 'drop', client: command.client } as const] : []
    if (command.will !== undefined) withWill.add(command.client)
    return [...drop, command]
  })
}

function timeless(command: Command): Command {
  switch (command.do) {
    case 'connect': {
      const { will, sessionExpiry } = command
      return {
        ...command,
        keepAlive: false,
        receiveMaximum: undefined,
        topicAliasMaximum: 0,
        sessionExpiry: sessionExpiry > 0 && sessionExpiry < LONG ? LONG : sessionExpiry,
        will: will && { ...will, delay: 0, expiry: will.expiry && LONG },
      }
    }
    case 'disconnect':
      return {
        ...command,
        reasonCode: command.reasonCode > 0x04 ? 0x04 : command.reasonCode, // See `avoided`.
        sessionExpiry: command.sessionExpiry && Math.max(command.sessionExpiry, LONG),
      }
    case 'subscribe': {
      const subscriptions = command.subscriptions.map((plan) => ({ ...plan, filter: sharedFilter(plan.filter) }))
      const filters = subscriptions.map(({ filter }) => filter)
      return {
        ...command,
        subscriptions: subscriptions.filter(({ filter }, index) => filters.indexOf(filter) === index),
      }
    }
    case 'unsubscribe':
      return { ...command, filters: command.filters.map(sharedFilter) }
    case 'publish': {
      const { messageExpiryInterval } = command.properties
      const properties =
        messageExpiryInterval === undefined
          ? command.properties
          : { ...command.properties, messageExpiryInterval: Math.max(messageExpiryInterval, LONG) }
      if (command.lost && !command.retain) {
        // Small enough for all: whether another member gets what is too large for one is the Server's choice too.
        return { ...command, topic: SHARED_TOPIC, payload: 'short', properties: {}, lost: false }
      }
      return { ...command, properties, lost: false }
    }
    default:
      return command
  }
}

function sharedFilter(filter: string): string {
  return filter.startsWith('$share/') ? `$share/*/${SHARED_TOPIC}` : filter
}
