/** Publishes a list of QoS 1 messages through one client, up to 100 on their way, and waits for the last PUBACK. */
import type { Client } from './client.ts'
import { until } from './until.ts'

const WINDOW = 100

/** `encode` gets the message's index and its Packet Identifier. Returns how many were acknowledged in the time. */
export async function publishAll(
  client: Client,
  count: number,
  encode: (index: number, packetId: number) => Buffer,
  seconds: number,
): Promise<number> {
  const before = client.acknowledged
  let sent = 0
  let failure: string | undefined
  const sendMore = (): void => {
    const packets: Buffer[] = []
    for (; sent < count && sent - (client.acknowledged - before) < WINDOW; sent += 1) {
      packets.push(encode(sent, (sent % 65_535) + 1))
    }
    if (packets.length > 0) client.write(Buffer.concat(packets))
  }
  client.onChunk = sendMore
  client.onClose = (why) => {
    failure = why
  }
  sendMore()
  await until(() => failure !== undefined || client.acknowledged - before >= count, seconds)
  client.onChunk = () => {}
  if (failure !== undefined) throw new Error(failure)
  count = 0 // nothing more is sent
  return client.acknowledged - before
}
