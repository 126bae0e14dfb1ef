/** As adapter-level.test.ts, with 5,000 messages in a queue. */
import './adapter-level.test.ts'
