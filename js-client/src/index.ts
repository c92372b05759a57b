/** The client of Ringdial. Everything that may be imported is named here. */
export { connect, createClient } from "./client.js";
export { AuthError, RingdialError } from "./errors.js";
export type { ErrorDetails } from "./errors.js";
export type * from "./types.js";
