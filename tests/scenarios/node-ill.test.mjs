/**
 * A node falls ill, or its way to others does: sessions whose home did not change stay where they are, what was
 * acknowledged arrives once and in order, and afterwards the cluster is whole again.
 */
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { cpuSeconds, stateOf } from '../bench/procfs.mjs';
import { names } from '../harness/crowd.mjs';
import { patient } from '../harness/illness.mjs';
import { request } from '../harness/http.mjs';
import { freePort } from '../harness/ports.mjs';
import { Redis } from '../harness/redis.mjs';
import { test } from '../harness/test.mjs';
import { delay, until } from '../harness/until.mjs';
import { Wire } from '../harness/wire.mjs';

/** @typedef {import('../harness/illness.mjs').Patient} Patient */
const LIMIT = { within_ms: 180_000 };
const ILL = { ill: ['n2'], ephemeralMayBeLost: true };
const TURN_MS = 2_000;
/** Longer than a lease, and than a link may be silent. */
const CUT_MS = 6_000;
const STARVED_MS = 6_000;
const GRAIN_MS = 5;

describe('a node is ill', { concurrency: 3 }, () => {
  test('it is paused for 15 s, and woken', LIMIT, async (t) => {
    const one = await patient(t, {}, ILL);
    const sleeper = one.ring.node('n2').process;
    t.after(() => sleeper.signal('SIGCONT'));
    sleeper.signal('SIGSTOP');
    await one.ring.untilSeen(['n1', 'n3']);
    await one.logs(/took out nodes whose leases lapsed.*"n2"/);
    await servedElsewhere(one);
    await delay(13_000);
    sleeper.signal('SIGCONT');
    await one.healed(t);
    assert.ok((await one.sum('ringdial_registrations_total', [one.ring.node('n2')])) >= 2, 'it has registered again');
    assert.ok((await one.sum('ringdial_ring_reaps_total')) >= 1);
    assert.deepEqual(one.disconnected(), [], 'not even from the node that slept');
  });

  test('it is cut from Redis only', LIMIT, async (t) => {
    const redis = await Redis.start();
    const wire = await Wire.to(redis.port);
    const url = redis.url.replace(/\d+$/, String(wire.port));
    const one = await patient(t, { redis, nodes: [{ id: 'n1' }, { id: 'n2', flags: ['--redis', url] }, { id: 'n3' }] }, { ephemeralMayBeLost: true });
    t.after(() => Promise.all([wire.stop(), redis.stop()]));
    for (const how of /** @type {const} */ (['cut', 'hold'])) {
      wire[how]();
      await one.ring.untilSeen(['n1', 'n3']);
      await one.shows('ringdial_store_reachable', (sum) => sum === 0, [one.ring.node('n2')]);
      await one.logs(/keeping the last view/, [one.ring.node('n2')]);
      await delay(3_000);
      wire.mend();
      await one.whole();
    }
    await one.healed(t);
  });

  test('it is cut from one peer only: both ways, one way, and where only one can dial', LIMIT, async (t) => {
    const { one, wires } = await wired(t, { ephemeralMayBeLost: true });
    const lost = () => one.sum('ringdial_peer_dial_failures_total', [one.ring.node('n1'), one.ring.node('n2')]);
    const illnesses = /** @type {[string, () => void][]} */ ([
      ['both ways', () => (wires.n1.cut('n2'), wires.n2.cut('n1'))],
      ['what n1 says to n2', () => (wires.n2.hold('n1', ['up']), wires.n1.hold('n2', ['down']))],
      ['n1 cannot dial n2', () => wires.n2.cut('n1')],
    ]);
    for (const [what, befall] of illnesses) {
      const before = await lost();
      befall();
      await delay(CUT_MS);
      await until(`it is noticed, ${what}`, async () => (await lost()) > before);
      for (const wire of Object.values(wires)) wire.mend();
      await one.whole();
    }
    await one.logs(/peer link lost/, [one.ring.node('n1')]);
    await one.healed(t);
    assert.equal((await one.ring.ring()).version, one.before?.version, 'nobody was taken out');
  });

  test('it is killed and started again every 2 s', LIMIT, async (t) => {
    const one = await patient(t, {}, ILL);
    const { id, url, peer } = one.ring.node('n2');
    for (let i = 0; i < 4; i++) {
      await one.ring.kill(one.ring.node(id));
      await delay(TURN_MS);
      await one.ring.startNode({ id, listen: new URL(url).host, peerListen: peer });
      await delay(TURN_MS);
    }
    await one.healed(t);
    assert.ok(one.traffic.reconnects > 10, `${one.traffic.reconnects} reconnects`);
  });

  test('it stops and goes on every 2 s', LIMIT, async (t) => {
    const one = await patient(t, {}, ILL);
    const { share } = await stutter(t, one, { stopped_ms: TURN_MS, going_ms: TURN_MS, times: 4 });
    assert.ok(share > 0.4, `it stood still for ${share} of the time`);
    await one.healed(t);
  });

  test('it runs for a fifth of the time', LIMIT, async (t) => {
    const one = await patient(t, {}, { ephemeralMayBeLost: true });
    const { share } = await stutter(t, one, { stopped_ms: 160, going_ms: 40, times: 50 });
    assert.ok(share > 0.6, `it stood still for ${share} of the time`);
    await one.healed(t);
  });

  test('it gets a fifth of the processor time that it needs', LIMIT, async (t) => {
    const one = await patient(t, {}, ILL);
    const { needed_s, got_s } = await starve(t, one, STARVED_MS);
    t.diagnostic(`${Math.round(got_s * 1_000)} ms instead of ${Math.round(needed_s * 1_000)}`);
    assert.ok(got_s < needed_s / 4, `it needed ${needed_s} s and got ${got_s}`);
    await one.healed(t);
  });
});

/** Users of the ill node who come now find another one, and are heard there. @param {Patient} one */
async function servedElsewhere({ ring, before }) {
  const homeless = names(60, 'newcomer-').filter((user) => before?.home(user) === 'n2').slice(0, 5);
  for (const user of homeless) {
    const session = await ring.connect(user);
    assert.notEqual(session.node, 'n2');
    assert.equal((await session.store({ user }, 'to myself')).offset, 1);
  }
}

/**
 * Stops the node and lets it go on, so many times. That it stood still is seen each time: the kernel says so, it uses no
 * processor time, and whoever asks it is answered only afterwards.
 * @param {import('node:test').TestContext} t @param {Patient} one @param {{ stopped_ms: number, going_ms: number, times: number }} pace
 */
async function stutter(t, { ring }, { stopped_ms, going_ms, times }) {
  const { process, admin } = ring.node('n2');
  const pid = process.pid ?? 0;
  t.after(() => process.signal('SIGCONT'));
  const began = performance.now();
  let still_ms = 0;
  for (let i = 0; i < times; i++) {
    process.signal('SIGSTOP');
    await until('it stands still', () => stateOf(pid) === 'T', { within_ms: 1_000, every_ms: 1 });
    const [since, used] = [performance.now(), cpuSeconds(pid)];
    let answered = false;
    const asked = request(`http://${admin}/readyz`).then(() => (answered = true));
    asked.catch(() => {});
    await delay(stopped_ms);
    assert.deepEqual([stateOf(pid), cpuSeconds(pid) - used, answered], ['T', 0, false], `turn ${i + 1}: its state, what it used, whether it answered`);
    still_ms += performance.now() - since;
    process.signal('SIGCONT');
    await asked;
    await delay(going_ms);
  }
  const share = still_ms / (performance.now() - began);
  t.diagnostic(`it stood still for ${Math.round(share * 100)} % of the time`);
  return { share };
}

/**
 * Lets the node have a fifth of what it used before in as long a time.
 * @param {import('node:test').TestContext} t @param {Patient} one @param {number} for_ms
 */
async function starve(t, { ring }, for_ms) {
  const { process } = ring.node('n2');
  t.after(() => process.signal('SIGCONT'));
  const used = () => cpuSeconds(process.pid ?? 0);
  const [idle, quiet] = [used(), performance.now()];
  await delay(for_ms);
  const perMs = (used() - idle) / (performance.now() - quiet);
  assert.ok(perMs > 0, 'it needed some');
  const [from, began] = [used(), performance.now()];
  const needed = () => perMs * (performance.now() - began);
  const over = () => used() - from > needed() / 5;
  // What it took too much, since nobody stopped it in time, is what it waits for at the end.
  while (performance.now() - began < for_ms || over()) {
    process.signal(over() ? 'SIGSTOP' : 'SIGCONT');
    await delay(GRAIN_MS);
  }
  const told = { needed_s: needed(), got_s: used() - from };
  process.signal('SIGCONT');
  return told;
}

/** A patient whose nodes reach each other over wires that know who dials. @param {import('node:test').TestContext} t @param {import('../harness/illness.mjs').Prognosis} prognosis */
async function wired(t, prognosis) {
  /** @type {Record<string, Wire>} */
  const wires = {};
  const nodes = await Promise.all(['n1', 'n2', 'n3'].map(async (id) => {
    const port = await freePort();
    wires[id] = await Wire.to(port, { names: true });
    return { id, peerListen: `127.0.0.1:${port}`, flags: ['--peer-address', wires[id].address] };
  }));
  const one = await patient(t, { nodes }, prognosis);
  t.after(() => Object.values(wires).forEach((wire) => wire.stop()));
  return { one, wires };
}
