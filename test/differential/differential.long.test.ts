/** As differential.test.ts, with 250 conversations. */
import './differential.test.ts'
