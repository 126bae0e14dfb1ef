import type { Packet, ProtocolLevel } from '../../types/packets.ts'
import { writeAcknowledgement } from './acknowledgement.ts'
import { writeAuth } from './auth.ts'
import { writeConnack } from './connack.ts'
import { writeConnect } from './connect.ts'
import { writeDisconnect } from './disconnect.ts'
import { writePing } from './ping.ts'
import { encodeProperties } from './properties.ts'
import { writePublish } from './publish.ts'
import { writeSuback } from './suback.ts'
import { writeSubscribe } from './subscribe.ts'
import { writeUnsuback } from './unsuback.ts'
import { writeUnsubscribe } from './unsubscribe.ts'
import { Writer } from './writer.ts'

/** The bytes of one packet. The busy path reuses one {@link Writer} instead. */
export function encode(packet: Packet, protocolLevel: ProtocolLevel): Buffer {
  const writer = new Writer(64)
  encodeInto(writer, packet, protocolLevel)
  return writer.take()
}

/** Appends a packet to the writer. Fields that the Protocol Level does not have are left out. */
export function encodeInto(writer: Writer, packet: Packet, protocolLevel: ProtocolLevel): void {
  switch (packet.type) {
    case 'publish':
      writePublish(
        writer,
        protocolLevel,
        packet.topic,
        packet.payload,
        packet.qos,
        packet.retain,
        packet.dup,
        packet.packetId,
        encodeProperties(packet.properties, 'publish'),
      )
      return
    case 'puback':
    case 'pubrec':
    case 'pubrel':
    case 'pubcomp':
      return writeAcknowledgement(writer, packet, protocolLevel)
    case 'connect':
      return writeConnect(writer, packet)
    case 'connack':
      return writeConnack(writer, packet, protocolLevel)
    case 'subscribe':
      return writeSubscribe(writer, packet, protocolLevel)
    case 'suback':
      return writeSuback(writer, packet, protocolLevel)
    case 'unsubscribe':
      return writeUnsubscribe(writer, packet, protocolLevel)
    case 'unsuback':
      return writeUnsuback(writer, packet, protocolLevel)
    case 'pingreq':
    case 'pingresp':
      return writePing(writer, packet)
    case 'disconnect':
      return writeDisconnect(writer, packet, protocolLevel)
    case 'auth':
      return writeAuth(writer, packet)
  }
}
