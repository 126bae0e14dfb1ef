/**
 * Whether the file that is run is a `*.long.test.js`. Such a file imports the short one beside it, which then does all
 * of what it else does a part of: every byte instead of some, more rounds, more inputs.
 */
export const isLong: boolean = process.argv[1]?.endsWith('.long.test.js') === true
