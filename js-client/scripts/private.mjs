// Names of properties that only the client itself sees: what is built has one letter for each, as bundlers do it with variables. Not one
// of them may be part of the API, of a frame, or of the platform: test/private.test.ts.

const NAMES = `
  again asked behind config detached dial dispatch effects failures grant heardAt heartbeatMs inside leaving link old phase
  pending policy refreshed refuse renewable replied roll runner said silent socket spreadMs stood suspect text until
  waiters want webSocket what
`;

export const PRIVATE = NAMES.trim().split(/\s+/);

const letter = (/** @type {number} */ n) => (n < 26 ? String.fromCharCode(97 + n) : n < 52 ? String.fromCharCode(39 + n) : `$${n - 52}`);

/** The same for every format and entry: some of them share objects. */
export const mangling = {
  mangleProps: new RegExp(`^(${PRIVATE.join("|")})$`),
  mangleCache: Object.fromEntries(PRIVATE.map((name, n) => [name, letter(n)])),
};
