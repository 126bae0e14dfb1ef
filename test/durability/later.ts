/** Loaded before a program so that for it the time is `HALTERE_TEST_AHEAD` seconds later. */
const ahead = Number(process.env['HALTERE_TEST_AHEAD'] ?? 0) * 1000
const { now } = Date
const { timeOrigin } = performance
Date.now = () => now() + ahead
Object.defineProperty(performance, 'timeOrigin', { value: timeOrigin + ahead })
