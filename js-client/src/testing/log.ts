/** A topic's log in the fake cluster: entries with offsets 1, 2, 3, ... in an epoch. */

/** A stored message. */
export interface Stored {
  readonly offset: number;
  readonly from: string;
  readonly data: unknown;
  readonly time: number;
}

/** What a client says of where it stands. */
export interface Place {
  readonly epoch?: string | null;
  readonly offset: number;
}

/** What follows for a client that stood somewhere. */
export interface Missed {
  /** The fields of a `gap`, without its topic. */
  readonly gap?: { readonly epoch: string; readonly after: number; readonly before: number; readonly reason: "trimmed" | "log_lost" };
  readonly entries: readonly Stored[];
}

export class Log {
  epoch: string;
  /** The oldest offset that is held. */
  first = 1;
  entries: Stored[] = [];
  /** Where a sender's key was stored. */
  readonly #keys = new Map<string, Stored>();

  constructor(private life: number) {
    this.epoch = hex(life);
  }

  get head(): number {
    return this.first + this.entries.length - 1;
  }

  /** The same entry again for a key that is known; undefined if it was used for other data. */
  append(from: string, data: unknown, key: string | undefined, time: number): { entry: Stored; repeated: boolean } | undefined {
    const name = key === undefined ? undefined : `${from}\n${key}`;
    const known = name === undefined ? undefined : this.#keys.get(name);
    if (known) return JSON.stringify(known.data) === JSON.stringify(data) ? { entry: known, repeated: true } : undefined;
    const entry = { offset: this.head + 1, from, data, time };
    this.entries.push(entry);
    if (name !== undefined) this.#keys.set(name, entry);
    return { entry, repeated: false };
  }

  /** Undefined: from the head on. */
  since(place: Place | undefined): Missed {
    if (!place) return { entries: [] };
    const { offset } = place;
    const epoch = place.epoch ?? this.epoch;
    if (epoch !== this.epoch || offset > this.head) {
      return { gap: { epoch: this.epoch, after: offset, before: this.first, reason: "log_lost" }, entries: this.entries };
    }
    const entries = this.entries.filter((entry) => entry.offset > offset);
    if (offset >= this.first - 1 || !place.epoch) return { entries };
    return { gap: { epoch: this.epoch, after: offset, before: this.first, reason: "trimmed" }, entries };
  }

  /** Keeps the newest entries only. */
  trim(keep: number): void {
    const gone = Math.max(0, this.entries.length - keep);
    this.entries = this.entries.slice(gone);
    this.first += gone;
  }

  /** All is gone, and begins again in another epoch. */
  lose(): void {
    this.life += 1;
    this.epoch = hex(this.life);
    this.first = 1;
    this.entries = [];
    this.#keys.clear();
  }
}

function hex(life: number): string {
  return life.toString(16).padStart(16, "0");
}
