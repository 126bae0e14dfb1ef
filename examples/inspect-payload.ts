// Checks payloads: a measurement must be JSON of the right form, or its publisher gets the reason.
import { Broker, MqttError, type Message, type Plugin } from 'haltere'

interface Measurement {
  readonly celsius: number
}

function isMeasurement(value: unknown): value is Measurement {
  return typeof value === 'object' && value !== null && Number.isFinite((value as Partial<Measurement>).celsius)
}

function parse({ payload }: Message): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload))
  } catch {
    throw new MqttError('payload-format-invalid', 'a measurement is JSON')
  }
}

const measurements: Plugin = {
  name: 'measurements',

  // An MQTT 5.0 publisher at QoS 1 or 2 gets Reason Code 0x99 and a Reason String; no subscriber gets the message.
  inspect(message) {
    if (!message.topic.startsWith('measurements/')) return
    if (!isMeasurement(parse(message))) throw new MqttError('payload-format-invalid', 'celsius must be a number')
  },
}

const broker = new Broker({ plugins: [measurements] })
broker.subscribe('measurements/+', ({ topic, payload }) => {
  console.log(topic, (JSON.parse(payload.toString()) as Measurement).celsius)
})
for (const { url } of await broker.listen({ tcp: Number(process.env.PORT ?? 1883) })) console.log(url)
