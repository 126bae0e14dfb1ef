/**
 * The numbered statements that bind a Server, each as a short paraphrase, and the duties of Clients that a Server
 * can check. Only the wording of the standard is binding.
 *
 * The name of a test lists the statements that it proves: `[MQTT-3.3.2-2]`, or `[MQTT-3.1.1: 3.3.2-2]` of MQTT 3.1.1.
 */
export type Version = '5.0' | '3.1.1'

export interface Statement {
  readonly version: Version
  readonly id: string
  readonly paraphrase: string
  /** For a statement that no Client can observe: the reason, and the proof used instead. */
  readonly standIn?: string
}

/** Lines of `id paraphrase`, with ` | ` before a proof used instead of a test. */
function statementsOf(version: Version, lines: string): Statement[] {
  return lines
    .trim()
    .split('\n')
    .map((line) => {
      const [, id, paraphrase, standIn] = /^(\S+) (.*?)(?: \| (.*))?$/.exec(line.trim())!
      return { version, id: id!, paraphrase: paraphrase!, ...(standIn === undefined ? {} : { standIn }) }
    })
}

const version5 = `
1.5.4-1 strings are well-formed UTF-8
1.5.4-2 strings have no null character
1.5.4-3 EF BB BF is kept
1.5.5-1 lengths have their shortest form
1.5.7-1 both halves of a pair are strings
2.1.3-1 reserved flags of the fixed header
2.2.1-2 QoS 0 has no Packet Identifier
2.2.1-4 a free Packet Identifier for each new message
2.2.1-5 acknowledgements repeat the Packet Identifier
2.2.1-6 SUBACK and UNSUBACK repeat it
2.2.2-1 no Properties: Property Length 0
3.1.0-2 one CONNECT on a connection
3.1.2-1 Protocol Name
3.1.2-2 Protocol Version
3.1.2-3 reserved Connect Flag
3.1.2-4 Clean Start 1 begins anew
3.1.2-5 Clean Start 0 goes on
3.1.2-6 Clean Start 0 without session begins one
3.1.2-7 a Will is kept with the session
3.1.2-8 when a Will is published
3.1.2-9 the fields of a Will
3.1.2-10 when a Will is removed
3.1.2-14 Will Retain 0
3.1.2-15 Will Retain 1
3.1.2-22 Keep Alive and a half
3.1.2-23 the session outlives the connection
3.1.2-24 Maximum Packet Size of the Client
3.1.2-25 a message too large counts as delivered
3.1.2-26 Topic Alias Maximum of the Client
3.1.2-27 without it no Topic Alias
3.1.2-28 Response Information on request only
3.1.2-29 Request Problem Information 0
3.1.3-1 order of the payload of CONNECT
3.1.3-2 the Client Identifier names the session
3.1.3-3 the Client Identifier is there and first
3.1.3-4 it is a string
3.1.3-5 1 to 23 letters and digits are allowed
3.1.3-6 an empty one stands for a new one
3.1.3-7 which CONNACK tells
3.1.3-8 a refused Client Identifier
3.1.3-9 a Client that is back keeps its Will from being sent
3.1.3-10 User Properties of a Will stay in order
3.1.3-11 the Will Topic is a string
3.1.3-12 the User Name is a string
3.1.4-1 CONNECT is checked
3.1.4-2 checks of the application
3.1.4-3 session taken over
3.1.4-4 Clean Start is done
3.1.4-5 success is told with CONNACK
3.1.4-6 nothing is done after a refusal
3.2.0-1 CONNACK comes first
3.2.0-2 and once
3.2.2-1 reserved flags of CONNACK
3.2.2-2 Clean Start 1: Session Present 0
3.2.2-3 Clean Start 0: Session Present tells
3.2.2-6 refusal: Session Present 0
3.2.2-7 refusal: the connection ends
3.2.2-8 codes of CONNACK
3.2.2-9 Maximum QoS is announced if there is one
3.2.2-10 SUBSCRIBE may ask for any QoS
3.2.2-12 a Will above the Maximum QoS
3.2.2-13 a retained Will where there is no retain
3.2.2-16 an assigned Client Identifier is nobody else's
3.2.2-19 CONNACK: Reason String only if it fits
3.2.2-20 CONNACK: User Properties only if they fit
3.2.2-22 without Server Keep Alive that of the Client
3.3.1-1 DUP 1 when sent again
3.3.1-2 DUP 0 with QoS 0
3.3.1-3 DUP is not passed on
3.3.1-4 no QoS 3
3.3.1-5 RETAIN 1 stores
3.3.1-6 an empty payload removes
3.3.1-7 and is not stored
3.3.1-8 RETAIN 0 stores nothing
3.3.1-9 Retain Handling 0
3.3.1-10 Retain Handling 1
3.3.1-11 Retain Handling 2
3.3.1-12 Retain As Published 0
3.3.1-13 Retain As Published 1
3.3.2-1 the Topic Name is first and a string
3.3.2-2 no wildcards in a Topic Name
3.3.2-3 delivered topics match the filter
3.3.2-4 Payload Format Indicator is passed on
3.3.2-5 expired messages are not sent
3.3.2-6 waiting is taken off the expiry
3.3.2-7 Topic Aliases end with the connection
3.3.2-8 no Topic Alias 0
3.3.2-11 no alias above the maximum of the Client
3.3.2-12 every alias up to the maximum of the Server
3.3.2-13 Response Topic is a string
3.3.2-14 without wildcards
3.3.2-15 and passed on
3.3.2-16 Correlation Data is passed on
3.3.2-17 User Properties are passed on
3.3.2-18 in their order
3.3.2-19 Content Type is a string
3.3.2-20 and passed on
3.3.4-1 answers by QoS
3.3.4-2 overlapping subscriptions: highest QoS
3.3.4-3 Subscription Identifiers are sent
3.3.4-4 all of them in a single copy
3.3.4-5 each in its own copy
3.3.4-9 Receive Maximum of the Client
3.3.4-10 only PUBLISH waits for it
3.4.2-1 codes of PUBACK
3.4.2-2 PUBACK: Reason String only if it fits
3.4.2-3 PUBACK: User Properties only if they fit
3.5.2-1 codes of PUBREC
3.5.2-2 PUBREC: Reason String only if it fits
3.5.2-3 PUBREC: User Properties only if they fit
3.6.1-1 flags of PUBREL
3.6.2-1 codes of PUBREL
3.6.2-2 PUBREL: Reason String only if it fits
3.6.2-3 PUBREL: User Properties only if they fit
3.7.2-1 codes of PUBCOMP
3.7.2-2 PUBCOMP: Reason String only if it fits
3.7.2-3 PUBCOMP: User Properties only if they fit
3.8.1-1 flags of SUBSCRIBE
3.8.3-1 filters are strings
3.8.3-2 at least one filter
3.8.3-3 No Local
3.8.3-4 not with a shared subscription
3.8.3-5 reserved Subscription Options
3.8.4-1 SUBACK answers
3.8.4-2 with the same Packet Identifier
3.8.4-3 the same filter replaces
3.8.4-4 retained messages again, none lost
3.8.4-5 several filters are several SUBSCRIBE
3.8.4-6 a code for each
3.8.4-7 granted QoS or failure
3.8.4-8 the lower QoS is delivered
3.9.2-1 SUBACK: Reason String only if it fits
3.9.2-2 SUBACK: User Properties only if they fit
3.9.3-1 codes in the order of the filters
3.9.3-2 codes of SUBACK
3.10.1-1 flags of UNSUBSCRIBE
3.10.3-1 filters are strings
3.10.3-2 at least one filter
3.10.4-1 the same characters
3.10.4-2 nothing is added
3.10.4-3 what was begun is completed
3.10.4-4 UNSUBACK answers
3.10.4-5 always, with the same Packet Identifier
3.10.4-6 several filters, one UNSUBACK
3.11.2-1 UNSUBACK: Reason String only if it fits
3.11.2-2 UNSUBACK: User Properties only if they fit
3.11.3-1 codes in the order of the filters
3.11.3-2 codes of UNSUBACK
3.12.4-1 PINGRESP answers
3.14.0-1 no DISCONNECT before CONNACK
3.14.1-1 reserved flags of DISCONNECT
3.14.2-1 codes of DISCONNECT
3.14.2-2 no Session Expiry Interval from the Server
3.14.2-3 DISCONNECT: Reason String only if it fits
3.14.2-4 DISCONNECT: User Properties only if they fit
3.14.4-1 nothing follows DISCONNECT
3.14.4-2 its sender closes
3.14.4-3 it discards the Will
3.15.1-1 flags of AUTH
3.15.2-1 codes of AUTH
3.15.2-2 AUTH: Reason String only if it fits
3.15.2-3 AUTH: User Properties only if they fit
4.1.0-1 a connected session stays
4.1.0-2 an expired session goes
4.2.0-1 the transport is ordered and loses nothing
4.3.1-1 QoS 0: DUP 0
4.3.2-1 QoS 1, sender: free Packet Identifier
4.3.2-2 QoS 1, sender: DUP 0 at first
4.3.2-3 QoS 1, sender: unacknowledged until PUBACK
4.3.2-4 QoS 1, receiver: PUBACK after taking over
4.3.2-5 QoS 1, receiver: then a new message
4.3.3-1 QoS 2, sender: free Packet Identifier
4.3.3-2 QoS 2, sender: DUP 0 at first
4.3.3-3 QoS 2, sender: unacknowledged until PUBREC
4.3.3-4 QoS 2, sender: PUBREL
4.3.3-5 QoS 2, sender: unacknowledged until PUBCOMP
4.3.3-6 QoS 2, sender: no PUBLISH after PUBREL
4.3.3-7 QoS 2, sender: no expiry once sent
4.3.3-8 QoS 2, receiver: PUBREC after taking over
4.3.3-9 QoS 2, receiver: an error frees the identifier
4.3.3-10 QoS 2, receiver: duplicates are not delivered
4.3.3-11 QoS 2, receiver: PUBCOMP answers PUBREL
4.3.3-12 QoS 2, receiver: then a new message
4.3.3-13 QoS 2, receiver: no expiry once received
4.4.0-1 what is sent again, and when
4.4.0-2 an error acknowledges, too
4.5.0-1 every matching session gets the message
4.6.0-5 ordered topics
4.6.0-6 every topic is ordered
4.7.0-1 wildcards in filters only
4.7.1-1 where # may stand
4.7.1-2 where + may stand
4.7.2-1 topics that begin with $
4.7.3-1 at least one character
4.7.3-2 no null character
4.7.3-3 65,535 bytes at most
4.7.3-4 nothing is normalised
4.8.2-1 form of a shared filter
4.8.2-2 form of a ShareName
4.8.2-3 QoS of the member
4.8.2-4 QoS 2 goes on with the same member
4.8.2-5 and with no other
4.8.2-6 an error ends the delivery
4.9.0-1 the first send quota
4.9.0-2 quota 0: no PUBLISH with QoS 1 and 2
4.9.0-3 quota 0: everything else
4.12.0-1 unknown Authentication Method
4.12.0-2 AUTH of the Server says 0x18
4.12.0-4 refusal in the middle
4.12.0-5 the same method in every packet
4.12.0-6 no method: no AUTH
4.12.1-2 failed re-authentication
4.13.1-1 an error closes the connection
4.13.2-1 and so does a code from 0x80
6.0.0-1 binary frames only
6.0.0-2 packets and frames need not align
6.0.0-4 subprotocol mqtt
`

const version311 = `
1.5.3-1 strings are well-formed UTF-8
1.5.3-2 strings have no null character
1.5.3-3 EF BB BF is kept
2.2.2-1 reserved flags of the fixed header
2.2.2-2 other flags close
2.3.1-1 Packet Identifier is not 0
2.3.1-4 a free one for each new message
2.3.1-5 QoS 0 has none
2.3.1-6 acknowledgements repeat it
2.3.1-7 SUBACK and UNSUBACK repeat it
3.1.0-2 one CONNECT on a connection
3.1.2-1 protocol name
3.1.2-2 protocol level
3.1.2-3 reserved Connect Flag
3.1.2-4 CleanSession 0 goes on
3.1.2-5 messages wait for an absent Client
3.1.2-6 CleanSession 1 begins anew and leaves nothing
3.1.2-7 retained messages are not of a session
3.1.2-8 when a Will is published
3.1.2-9 the fields of a Will
3.1.2-10 when a Will is removed
3.1.2-12 without Will Flag no Will
3.1.2-16 Will Retain 0
3.1.2-17 Will Retain 1
3.1.2-24 Keep Alive and a half
3.1.3-1 order of the payload of CONNECT
3.1.3-2 the Client Identifier names the session
3.1.3-3 it is there and first
3.1.3-4 it is a string
3.1.3-5 1 to 23 letters and digits are allowed
3.1.3-6 an empty one stands for a new one
3.1.3-8 but not with CleanSession 0
3.1.3-9 a refused one: 0x02
3.1.3-10 the Will Topic is a string
3.1.3-11 the user name is a string
3.1.4-1 CONNECT is checked
3.1.4-2 the connection before is ended
3.1.4-3 CleanSession is done
3.1.4-4 success is told with CONNACK
3.1.4-5 nothing is done after a refusal
3.2.0-1 CONNACK comes first
3.2.2-1 CleanSession 1: Session Present 0
3.2.2-2 stored session: 1
3.2.2-3 none: 0
3.2.2-4 refusal: 0
3.2.2-5 refusal: the connection ends
3.2.2-6 no fitting code: no CONNACK
3.3.1-1 DUP 1 when sent again
3.3.1-2 DUP 0 with QoS 0
3.3.1-3 DUP is not passed on
3.3.1-4 no QoS 3
3.3.1-5 RETAIN 1 stores
3.3.1-6 a new subscription gets it
3.3.1-7 QoS 0 replaces it, too
3.3.1-8 RETAIN 1 for a new subscription
3.3.1-9 RETAIN 0 for the others
3.3.1-10 an empty payload removes
3.3.1-11 and is not stored
3.3.1-12 RETAIN 0 stores nothing
3.3.2-1 the Topic Name is first and a string
3.3.2-2 no wildcards in it
3.3.2-3 delivered topics match the filter
3.3.4-1 answers by QoS
3.3.5-1 overlapping subscriptions: highest QoS
3.3.5-2 a message that is not allowed
3.6.1-1 flags of PUBREL
3.8.1-1 flags of SUBSCRIBE
3.8.3-1 filters are strings
3.8.3-2 filters with wildcards
3.8.3-3 at least one filter
3.8.3-4 reserved bits
3.8.4-1 SUBACK answers
3.8.4-2 with the same Packet Identifier
3.8.4-3 the same filter replaces
3.8.4-4 several filters, one SUBACK
3.8.4-5 a code for each
3.8.4-6 the lower QoS is delivered
3.9.3-1 codes in the order of the filters
3.9.3-2 codes of SUBACK
3.10.1-1 flags of UNSUBSCRIBE
3.10.3-1 filters are strings
3.10.3-2 at least one filter
3.10.4-1 the same bytes
3.10.4-2 nothing is added
3.10.4-3 what was begun is completed
3.10.4-4 UNSUBACK answers
3.10.4-5 always
3.10.4-6 several filters, one UNSUBACK
3.12.4-1 PINGRESP answers
3.14.1-1 reserved flags of DISCONNECT
3.14.4-3 DISCONNECT discards the Will
4.1.0-1 session state is kept
4.1.0-2 at least as long as the connection
4.3.1-1 QoS 0: DUP 0
4.3.2-1 QoS 1, sender
4.3.2-2 QoS 1, receiver
4.3.3-1 QoS 2, sender
4.3.3-2 QoS 2, receiver
4.4.0-1 what is sent again at a reconnect
4.5.0-1 every matching session gets the message
4.6.0-1 PUBLISH again, in order
4.6.0-2 order of PUBACK
4.6.0-3 order of PUBREC
4.6.0-4 order of PUBREL
4.6.0-5 topics are ordered
4.6.0-6 for each publisher and QoS
4.7.1-1 wildcards in filters only
4.7.1-2 where # may stand
4.7.1-3 where + may stand
4.7.2-1 topics that begin with $
4.7.3-1 at least one character
4.7.3-2 no null character
4.7.3-3 65,535 bytes at most
4.7.3-4 nothing is normalised
4.8.0-1 an error closes the connection
4.8.0-2 a passing trouble closes it, too
6.0.0-1 binary frames only
6.0.0-2 packets and frames need not align
6.0.0-4 subprotocol mqtt
7.0.0-1 a Server that connects is a Client, too | This broker opens no connections to other Servers; test "this broker opens no connections of its own"
7.0.0-2 nothing beyond the standard is needed | Every test here is a Client that knows the standard only
7.1.1-1 ordered transport without losses | TCP, TLS and WebSocket are; test "bytes arrive in order and none is lost"
`

export const statements: readonly Statement[] = [...statementsOf('5.0', version5), ...statementsOf('3.1.1', version311)]

const duties5 = `
2.2.1-3 3.1.0-1 3.1.2-11 3.1.2-12 3.1.2-13 3.1.2-16 3.1.2-17 3.1.2-18 3.1.2-19 3.1.2-20 3.1.2-21
3.1.2-30 3.2.2-4 3.2.2-5 3.2.2-11 3.2.2-14 3.2.2-15 3.2.2-17 3.2.2-18 3.2.2-21 3.3.2-9 3.3.2-10
3.3.4-6 3.3.4-7 3.3.4-8 4.5.0-2 4.6.0-1 4.6.0-2 4.6.0-3 4.6.0-4 4.12.0-3 4.12.0-7 4.12.1-1 6.0.0-3
`
const duties311 = `
2.3.1-2 2.3.1-3 3.1.0-1 3.1.2-11 3.1.2-13 3.1.2-14 3.1.2-15 3.1.2-18 3.1.2-19 3.1.2-20 3.1.2-21
3.1.2-22 3.1.2-23 3.1.3-7 3.14.4-1 3.14.4-2 4.5.0-2 6.0.0-3 7.1.2-1
`

/** Statements for Clients; a test may name one to show the reaction of the Server to its violation. */
export const clientDuties: Readonly<Record<Version, readonly string[]>> = {
  '5.0': duties5.trim().split(/\s+/),
  '3.1.1': duties311.trim().split(/\s+/),
}

export interface Citation {
  readonly version: Version
  readonly id: string
}

/** The statements in the name of a test. */
export function citationsOf(name: string): Citation[] {
  return [...name.matchAll(/\[MQTT-(3\.1\.1: )?([\d.]+-\d+)\]/g)].map(([, older, id]) => ({
    version: older === undefined ? '5.0' : '3.1.1',
    id: id!,
  }))
}

/** The name of a test without the numbers of statements. */
export function sentenceOf(name: string): string {
  return name.replaceAll(/ \[MQTT-[^\]]*\]/g, '')
}
