/**
 * Whether the file that runs is a `*.long.test.js`. Such a file imports the short one beside it, which then runs
 * completely: every byte instead of some, more rounds, more inputs.
 */
export const isLong: boolean = process.argv[1]?.endsWith('.long.test.js') === true
