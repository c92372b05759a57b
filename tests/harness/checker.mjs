/**
 * The judge of every messaging scenario: who sent what to whom, who got what - and what is wrong with that. It finds
 * loss, duplicates, misdelivery, disorder and altered or invented messages.
 */

/** @typedef {{ from: string, to: string, seq: number, text: string }} Payload what travels as `data` */
/** @typedef {{ kind: 'lost' | 'duplicate' | 'misdelivered' | 'disordered' | 'invented' | 'altered', receiver: string, detail: string }} Finding */

export class Checker {
  /** @type {Map<string, { from: string, to: string, seq: number, text: string, acknowledged: boolean }>} */
  #sent = new Map();
  /** @type {Map<string, number>} "from>to" -> the last number given out */
  #last = new Map();
  /** @type {Map<string, { user: string, got: Map<string, number>, newest: Map<string, number>, retired: boolean }>} */
  #receivers = new Map();
  /** @type {Finding[]} */
  #wrong = [];
  received = 0;

  /** The next message from `from` to `to`, as the payload to send. @param {string} from @param {string} to @returns {Payload} */
  message(from, to, text = '') {
    const pair = `${from}>${to}`;
    const seq = (this.#last.get(pair) ?? 0) + 1;
    this.#last.set(pair, seq);
    const payload = { from, to, seq, text };
    this.#sent.set(`${pair}#${seq}`, { ...payload, acknowledged: false });
    return payload;
  }

  /** From now on the loss of this message is a fault. @param {Payload} payload */
  acknowledged(payload) {
    const sent = this.#sent.get(keyOf(payload));
    if (sent) sent.acknowledged = true;
  }

  /** A session that is to get every message to its user from now on. @param {string} name unique @param {string} user */
  addReceiver(name, user) {
    if (this.#receivers.has(name)) throw new Error(`receiver ${name} is there already`);
    this.#receivers.set(name, { user, got: new Map(), newest: new Map(), retired: false });
  }

  /** What arrived at a receiver. @param {string} name @param {{ from?: unknown, topic?: unknown, data?: any }} frame the `message` frame */
  deliver(name, frame) {
    const receiver = this.#receivers.get(name);
    if (!receiver) throw new Error(`no receiver ${name}`);
    this.received++;
    const payload = frame.data;
    const wrong = (/** @type {Finding['kind']} */ kind) => this.#wrong.push({ kind, receiver: name, detail: JSON.stringify(frame).slice(0, 300) });
    const sent = payload && typeof payload === 'object' ? this.#sent.get(keyOf(payload)) : undefined;
    if (!sent) return wrong('invented');
    if (sent.text !== payload.text || frame.from !== sent.from || frame.topic !== `u:${sent.to}`) wrong('altered');
    if (sent.to !== receiver.user) return wrong('misdelivered');
    const key = keyOf(payload);
    const times = (receiver.got.get(key) ?? 0) + 1;
    receiver.got.set(key, times);
    if (times > 1) return wrong('duplicate');
    if (sent.seq < (receiver.newest.get(sent.from) ?? 0)) return wrong('disordered');
    receiver.newest.set(sent.from, sent.seq);
  }

  /** A receiver that is gone: what has not reached it by now never will, and that is no loss. @param {string} name */
  retire(name) {
    const receiver = this.#receivers.get(name);
    if (receiver) receiver.retired = true;
  }

  /** Messages that were acknowledged and have not reached a receiver of theirs. @returns {Finding[]} */
  missing() {
    const findings = [];
    for (const sent of this.#sent.values()) {
      if (!sent.acknowledged) continue;
      for (const [receiver, { user, got, retired }] of this.#receivers) {
        if (user === sent.to && !retired && !got.has(keyOf(sent))) findings.push({ kind: /** @type {const} */ ('lost'), receiver, detail: keyOf(sent) });
      }
    }
    return findings;
  }

  /** Everything that is wrong by now. @returns {Finding[]} */
  findings() {
    return [...this.#wrong, ...this.missing()];
  }

  /** Throws with the first findings. */
  assertClean() {
    const findings = this.findings();
    if (findings.length === 0) return;
    const counts = Object.entries(group(findings)).map(([kind, list]) => `${list.length} ${kind}`);
    const first = findings.slice(0, 8).map((f) => `${f.kind} at ${f.receiver}: ${f.detail}`);
    throw new Error(`${counts.join(', ')} (of ${this.#sent.size} sent, ${this.received} received):\n${first.join('\n')}`);
  }
}

/** @param {{ from: string, to: string, seq: number }} payload */
const keyOf = ({ from, to, seq }) => `${from}>${to}#${seq}`;

/** @param {Finding[]} findings @returns {Record<string, Finding[]>} */
function group(findings) {
  /** @type {Record<string, Finding[]>} */
  const groups = {};
  for (const finding of findings) (groups[finding.kind] ??= []).push(finding);
  return groups;
}
