/** As model.test.ts, with 300 conversations. */
import './model.test.ts'
