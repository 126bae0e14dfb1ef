/** As exits.test.ts, at every call of the log. */
import './exits.test.ts'
