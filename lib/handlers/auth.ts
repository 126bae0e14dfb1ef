import type { AuthPacket } from '../../types/packets.ts'
import type { ReauthenticateAnswer } from '../../types/hooks.ts'
import { Authentication } from '../connection/authentication.ts'
import type { Client } from '../connection/client.ts'
import type { Connection } from '../connection/connection.ts'
import { MqttError, ProtocolError } from '../errors.ts'
import { ReasonCode } from '../packets/reason-codes.ts'

/** AUTH from a connected Client (section 4.12.1) starts or continues re-authentication. Other packets need not wait. */
export function handleAuth(connection: Connection, packet: AuthPacket): void {
  const method = packet.properties?.authenticationMethod
  if (connection.authenticationMethod === undefined || method !== connection.authenticationMethod) {
    throw new ProtocolError(ReasonCode.protocolError, 'AUTH with another Authentication Method than CONNECT') // [MQTT-4.12.1-1]
  }
  if (connection.authentication !== undefined) {
    connection.authentication.continue(packet)
    return
  }
  if (packet.reasonCode !== ReasonCode.reAuthenticate) {
    throw new ProtocolError(ReasonCode.protocolError, 'AUTH where none is expected')
  }
  const authentication = new Authentication(connection, packet.properties?.authenticationData)
  connection.authentication = authentication
  void reauthenticate(connection, authentication)
}

async function reauthenticate(connection: Connection, authentication: Authentication): Promise<void> {
  const { client } = connection
  if (client === undefined) return
  try {
    const answer = await ask(connection, client, authentication)
    connection.authentication = undefined
    if (answer.session !== undefined) client.session = answer.session
    const data = (answer.data as Buffer | undefined) ?? authentication.conclusion // `Hooks` returns a Buffer.
    connection.send({
      type: 'auth',
      reasonCode: ReasonCode.success,
      properties: {
        authenticationMethod: authentication.method as string,
        ...(data !== undefined && { authenticationData: data }),
      },
    })
  } catch (error) {
    connection.authentication = undefined
    const refusal = error instanceof MqttError ? error : new MqttError('not-authorized')
    connection.fail(refusal) // DISCONNECT, then close [MQTT-4.12.1-2].
  }
}

/** Calls the hook until it is done. Between two calls the Client receives an AUTH and sends the next one. */
async function ask(
  connection: Connection,
  client: Client,
  authentication: Authentication,
): Promise<ReauthenticateAnswer<unknown> & { done: true }> {
  const { hooks } = connection.broker
  for (;;) {
    const answer = await hooks.reauthenticate(authentication, client)
    if (answer === undefined || answer === false) throw new MqttError('not-authorized')
    if (answer.done) return answer
    await authentication.exchange(answer.data)
  }
}
