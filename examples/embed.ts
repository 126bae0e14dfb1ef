// A broker inside a program: the program subscribes and publishes a reply to each message.
import { Broker } from 'haltere'

const broker = new Broker()
broker.subscribe('question', async ({ payload }) => {
  await broker.publish({ topic: 'answer', payload: `You asked: ${payload.toString()}` })
})
for (const { url } of await broker.listen({ tcp: Number(process.env.PORT ?? 1883) })) console.log(url)
