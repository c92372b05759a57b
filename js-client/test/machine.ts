/** The machine alone, with events at given times. */
import { groupRules } from "../src/machine/groups.js";
import { type Effect, type Happening, initial, type State } from "../src/machine/state.js";
import { transition } from "../src/machine/transition.js";
import { configOf } from "../src/options.js";

/** Feeds events at given times and keeps the effects of the last one. */
export class Machine {
  state: State = initial(configOf({ lookup: "x", token: () => "t" }, groupRules));
  effects: readonly Effect[] = [];

  at(now: number, ...what: Happening): this {
    const next = transition(this.state, { what, now, roll: 0.5 });
    this.state = next.state;
    this.effects = next.effects;
    return this;
  }

  /** Connected at time 0 with a heartbeat of 25 s: the dead-line is 60 s. The link is socket 2. */
  connected(topics: object = {}, retry_spread_ms?: number): this {
    const grant = { url: "ws://n1", protocols: ["a"], node: "n1" };
    const welcome = { op: "welcome", session: "s", user: "u", node: "n1", heartbeat_ms: 25_000, retry_spread_ms, topics };
    return this.at(0, "connect").at(0, "granted", 1, grant).at(0, "opened", 2).at(0, "heard", 2, welcome);
  }

  names(): string[] {
    return this.effects.map((effect) => effect.slice(0, 2).join(" "));
  }
}
