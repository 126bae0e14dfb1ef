/** Publishes QoS 1 messages through one client with a window of 100, and waits for the last PUBACK. */
import type { Client } from './client.ts'
import { until } from './until.ts'

const WINDOW = 100

/** `encode` receives index and Packet Identifier of a message. Returns the number of acknowledged messages. */
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
  count = 0 // Stops sending.
  return client.acknowledged - before
}
