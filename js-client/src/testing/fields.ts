/** What a fake node refuses of places and names, as nodes do: docs/PROTOCOL.md, "Limits". */
import type { Frame } from "../wire.js";
import type { Place } from "./log.js";

/** Groups and topics of one `hello`. */
const HELLO_MAX = 257;
/** Of a group's name. */
const BYTES_MAX = 256;

/** An offset says nothing without its epoch, but for the place before the first entry. A `null` counts as left out. */
function isPlace(place: unknown): boolean {
  const { epoch, offset } = (place ?? {}) as { epoch?: unknown; offset?: unknown };
  if (!Number.isSafeInteger(offset) || (offset as number) < 0) return false;
  return epoch === undefined || epoch === null ? offset === 0 : typeof epoch === "string" && /^[0-9a-f]{16}$/.test(epoch);
}

/** 1 to 256 bytes of UTF-8 without control characters. */
function isName(name: unknown): boolean {
  return typeof name === "string" && name !== "" && !/\p{Cc}/u.test(name) && encodeURIComponent(name).replace(/%../g, "-").length <= BYTES_MAX;
}

/** The error code of a `hello` that is refused. */
export function faultOfHello({ groups, resume }: Frame): string | undefined {
  const [names, places] = [(groups ?? []) as unknown[], Object.values((resume ?? {}) as Record<string, Place>)];
  if (names.length + places.length > HELLO_MAX) return "too_many_groups";
  if (!names.every(isName)) return "bad_id";
  return places.every(isPlace) ? undefined : "bad_request";
}

/** The error code of a `join` that is refused. */
export function faultOfJoin({ group, since }: Frame): string | undefined {
  if (!isPlace(since ?? { offset: 0 })) return "bad_request";
  return isName(group) ? undefined : "bad_id";
}
