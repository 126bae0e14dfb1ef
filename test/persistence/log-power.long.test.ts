/** As log-power.test.ts, with 150 sequences of commits. */
import './log-power.test.ts'
