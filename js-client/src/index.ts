/** `ringdial`: the client, with everything. What may be imported is named here. */
import { begun, clientOf } from "./client.js";
import { groupsOf } from "./groups.js";
import { groupRules } from "./machine/groups.js";
import { check } from "./options.js";
import type { Client, ClientOptions, Signal } from "./types.js";

export { AuthError, RingdialError } from "./errors.js";
export type { ErrorDetails } from "./errors.js";
export type * from "./types.js";

/**
 * A client that has not begun: no socket and no request until `connect()`, and no timer but the one of what is sent before, which waits.
 * Throws `bad_options`.
 */
export function createClient<Data = unknown>(options: ClientOptions): Client<Data> {
  check(options);
  return clientOf<Data>(options, { rules: groupRules, handles: groupsOf });
}

/**
 * Creates a client and connects it. Rejects if it stops first, or if the signal is aborted before it is connected, which closes it; once it
 * is connected the signal is of no effect.
 */
export function connect<Data = unknown>(options: ClientOptions & { readonly signal?: Signal }): Promise<Client<Data>> {
  return begun(createClient<Data>(options), options);
}
