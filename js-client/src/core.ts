/**
 * `ringdial/core`: the client without group handles and without a check of its options, for pages that count bytes. The groups of its token
 * come as messages of the client.
 */
import { begun, clientOf } from "./client.js";
import type { ClientOptions, CoreClient, Signal } from "./types.js";

export { AuthError, RingdialError } from "./errors.js";
export type { ErrorDetails } from "./errors.js";
export type * from "./types.js";

/** A client that has not begun: no socket and no request until `connect()`, and no timer but the one of what is sent before, which waits. */
export function createClient<Data = unknown>(options: ClientOptions): CoreClient<Data> {
  return clientOf<Data>(options);
}

/**
 * Creates a client and connects it. Rejects if it stops first, or if the signal is aborted before it is connected, which closes it; once it
 * is connected the signal is of no effect.
 */
export function connect<Data = unknown>(options: ClientOptions & { readonly signal?: Signal }): Promise<CoreClient<Data>> {
  return begun(createClient<Data>(options), options);
}
