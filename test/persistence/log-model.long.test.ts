/** As log-model.test.ts, with a segment that is cut off at every byte. */
import './log-model.test.ts'
