/** The only importer of the package. */
export { type WebSocket, WebSocketServer } from 'ws'
