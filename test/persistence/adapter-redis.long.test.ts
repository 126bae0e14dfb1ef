/** As adapter-redis.test.ts, with 5,000 messages in a queue. */
import './adapter-redis.test.ts'
