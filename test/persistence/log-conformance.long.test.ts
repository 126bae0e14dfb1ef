/** As log-conformance.test.ts, with files that are as large as they are by default. */
import './log-conformance.test.ts'
