/** As fuzz.test.ts, with 200,000 inputs. */
import './fuzz.test.ts'
