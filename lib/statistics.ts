/** What the broker counts from its start. Plain numbers, because they change with every packet. */
export class Statistics {
  connections = 0
  clientsConnected = 0
  clientsMaximum = 0
  connectionsRefused = 0
  messagesReceived = 0
  messagesSent = 0
  bytesReceived = 0
  bytesSent = 0
  publishReceived = 0
  publishSent = 0
  publishDropped = 0
  publishBytesReceived = 0
  publishBytesSent = 0
}
