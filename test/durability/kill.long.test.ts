/** As kill.test.ts, with more rounds. */
import './kill.test.ts'
