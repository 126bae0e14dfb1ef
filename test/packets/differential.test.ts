import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import mqttPacket, { type Packet as TheirPacket } from 'mqtt-packet'
import { Decoder } from '../../lib/packets/decoder.ts'
import { encode } from '../../lib/packets/encoder.ts'
import type { Packet } from '../../types/packets.ts'
import type { Properties, UserProperties } from '../../types/properties.ts'
import { packetsOf } from './arbitraries.ts'

/** mqtt-packet refuses some packets that the standard allows, and changes some others. */
function isKnownToThem(packet: Packet): boolean {
  if (packet.type === 'connect') {
    if (packet.password !== undefined && packet.username === undefined) return false // allowed in MQTT 5.0
    if (packet.clientId === '') return false // only with a clean start, for them
  }
  if (packet.type === 'connect' && losesUserProperties(packet.will?.properties)) return false
  if ('properties' in packet && losesUserProperties(packet.properties)) return false
  if (packet.type === 'auth') return packet.reasonCode !== 0 || packet.properties !== undefined
  return true
}

/** They drop an empty value when the name comes again. */
function losesUserProperties(properties: Properties | undefined): boolean {
  const pairs = properties?.userProperties ?? []
  const names = new Set(pairs.map(([name]) => name))
  return names.size < pairs.length && pairs.some(([, value]) => value === '')
}

/** They keep User Properties in an object, which loses the order of names, not of the values of one name. */
function sorted(packet: Packet): Packet {
  return sortedProperties(structuredClone(packet))
}

function sortedProperties<Value extends object>(value: Value): Value {
  for (const [key, each] of Object.entries(value)) {
    if (key === 'userProperties') {
      const pairs = each as UserProperties
      Object.assign(value, { userProperties: pairs.toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)) })
    } else if (key === 'properties' || key === 'will') {
      if (each) sortedProperties(each as object)
    }
  }
  return value
}

function parse(input: Buffer, protocolVersion: 3 | 4 | 5): TheirPacket {
  const parser = mqttPacket.parser({ protocolVersion })
  const packets: TheirPacket[] = []
  parser.on('packet', (packet: TheirPacket) => packets.push(packet))
  parser.on('error', (error: Error) => {
    throw error
  })
  parser.parse(input)
  assert.equal(packets.length, 1)
  return packets[0]!
}

/** The Properties that are one plain value come out under the same name with the same value. */
function compareProperties(ours: Properties | undefined, theirs: Record<string, unknown> | undefined): void {
  for (const [name, value] of Object.entries(ours ?? {})) {
    if (name === 'userProperties' || name === 'subscriptionIdentifiers') continue
    const their = theirs?.[name]
    if (typeof value === 'number') assert.equal(Number(their), value, name)
    else if (typeof value === 'string') assert.equal(their, value, name)
    else assert.deepEqual(Buffer.from(their as Uint8Array), Buffer.from(value as Uint8Array), name)
  }
}

for (const level of [3, 4, 5] as const) {
  for (const [type, packets] of Object.entries(packetsOf(level))) {
    if (type === 'auth' && level < 5) continue
    test(`mqtt-packet reads our ${type} and we read theirs, at Protocol Level ${level}`, () => {
      fc.assert(
        fc.property(packets.filter(isKnownToThem), (packet) => {
          const theirs = parse(encode(packet, level), level)
          assert.equal(theirs.cmd, packet.type)
          if ('properties' in packet) {
            compareProperties(packet.properties, (theirs as { properties?: Record<string, unknown> }).properties)
          }
          const decoder = new Decoder({ protocolLevel: level })
          decoder.push(mqttPacket.generate(theirs, { protocolVersion: level }))
          const read = decoder.next()
          assert.ok(read)
          assert.deepEqual(sorted(read), sorted(packet))
        }),
        { numRuns: 60 },
      )
    })
  }
}
