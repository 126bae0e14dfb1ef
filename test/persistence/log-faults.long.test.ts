/** As log-faults.test.ts, with 20 kills. */
import './log-faults.test.ts'
