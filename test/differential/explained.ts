import type { Difference, Step } from './comparison.ts'

/** A kind of difference that is known, with who is right and why. */
export interface Explained {
  readonly name: string
  /** The statement that decides it. */
  readonly statement: string
  readonly right: 'haltere' | 'mosquitto' | 'both'
  recognises(difference: Difference, step: Step): boolean
}

export const explained: readonly Explained[] = [
  {
    name: 'Mosquitto tells a Client of MQTT 5.0 that is taken over only when the new connection is MQTT 5.0 too',
    statement: 'MQTT-3.1.4-3',
    right: 'haltere',
    recognises: ({ only, text }, { command }) =>
      only === 'haltere' && text === 'disconnect 142' && command.do === 'connect' && command.level !== 5,
  },
]
