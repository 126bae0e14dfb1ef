/** Version of this package. In the code, because a bundle has no package.json beside it; a test compares the two. */
export const version = '0.1.0'
