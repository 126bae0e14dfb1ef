/** Topic Names and Topic Filters for property tests: few levels over few words, so that they often meet. */
import fc from 'fast-check'

// Both ways to write é, and names that every object has.
const words = ['', 'a', 'b', '$', '$SYS', '\u00e9', 'e\u0301', '__proto__', 'constructor', '🦟']

const level: fc.Arbitrary<string> = fc.constantFrom(...words)

/** Valid Topic Names. */
export const topics: fc.Arbitrary<string> = fc
  .array(level, { minLength: 1, maxLength: 4 })
  .map((levels) => levels.join('/'))
  .filter((topic) => topic !== '')

/** Valid Topic Filters, not shared. */
export const topicFilters: fc.Arbitrary<string> = fc
  .tuple(
    fc.array(fc.oneof({ weight: 2, arbitrary: level }, { weight: 1, arbitrary: fc.constant('+') }), { maxLength: 4 }),
    fc.boolean(),
  )
  .map(([levels, below]) => (below ? [...levels, '#'] : levels).join('/'))
  .filter((filter) => filter !== '')

/** Share names that could be mistaken for something else. */
export const shareNames: fc.Arbitrary<string> = fc.constantFrom('g', 'h', '__proto__', '$share', 'a b')
