/** Drops ephemeral messages seen before: two sockets overlap during a move, and both may carry the same message. */

/** Streams remembered, the longest unused forgotten first. */
const STREAMS_MAX = 4096;

/**
 * Per topic and origin the highest counter seen. An id is `<origin>-<counter>`; counters of an origin grow, so one
 * that is not higher was seen, or was overtaken, and order matters more than that one message.
 *
 * Gives a function that says whether a message is new, which it then no longer is. An id of another form is always new.
 */
export function dedupe(): (topic: string, id?: string) => boolean {
  const highest = new Map<string, number>();
  return (topic, id = "") => {
    const [, origin, digits] = /^(.*)-(\d+)$/s.exec(id) ?? [];
    if (!digits) return true;
    const stream = `${origin}\n${topic}`;
    const counter = Number(digits);
    if (counter <= (highest.get(stream) ?? -1)) return false;
    highest.delete(stream);
    highest.set(stream, counter);
    if (highest.size > STREAMS_MAX) highest.delete(highest.keys().next().value as string);
    return true;
  };
}
