/** As broker-suite.test.ts, with all tests of the broker. */
import './broker-suite.test.ts'
