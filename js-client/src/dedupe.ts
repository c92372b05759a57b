/** Drops ephemeral messages seen before: two sockets overlap during a move, and both may carry the same message. */

/** Streams remembered, the longest unused forgotten first. */
const STREAMS_MAX = 4096;

/**
 * Per topic and origin the highest counter seen. An id is `<origin>-<counter>`; counters of an origin grow, so one
 * that is not higher was seen, or was overtaken, and order matters more than that one message.
 */
export class Seen {
  readonly #highest = new Map<string, number>();

  /** Whether the message is new, which it then no longer is. An id of another form is always new. */
  accept(topic: string, id: string | undefined): boolean {
    const dash = id?.lastIndexOf("-") ?? -1;
    if (id === undefined || dash < 0) return true;
    const counter = Number(id.slice(dash + 1));
    if (!Number.isSafeInteger(counter)) return true;
    const stream = id.slice(0, dash) + "\n" + topic;
    const highest = this.#highest.get(stream);
    if (highest !== undefined && counter <= highest) return false;
    this.#highest.delete(stream);
    this.#highest.set(stream, counter);
    if (this.#highest.size > STREAMS_MAX) {
      for (const oldest of this.#highest.keys()) {
        this.#highest.delete(oldest);
        break;
      }
    }
    return true;
  }
}
