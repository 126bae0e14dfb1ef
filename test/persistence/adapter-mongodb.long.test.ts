/** As adapter-mongodb.test.ts, with 5,000 messages in a queue. */
import './adapter-mongodb.test.ts'
