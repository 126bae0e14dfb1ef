/** As faults.test.ts, with every flow and every kind of fault. */
import './faults.test.ts'
