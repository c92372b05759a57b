/** Who is in a group and who is online: what watchers are told over three nodes, through lost sockets and killed nodes. */
import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { cluster } from '../harness/cluster.mjs';
import { inWaves, names } from '../harness/crowd.mjs';
import { MANY_SENDS } from '../harness/flags.mjs';
import { test } from '../harness/test.mjs';
import { delay, until } from '../harness/until.mjs';

/** @typedef {import('../harness/cluster.mjs').Cluster} Cluster */
/** @typedef {import('../harness/session.mjs').Session} Session */
/** @typedef {import('../harness/session.mjs').Frame} Frame */

const GRACE_MS = 5_000;
const FLAGS = { node: [...MANY_SENDS, '--presence-grace', `${GRACE_MS}ms`] };
const CLAIMS = { permissions: ['join:*'] };
const sorted = (/** @type {Iterable<string>} */ users) => [...users].sort();

/** A session that is told who comes to a group and goes, and what it knows by that alone. */
class Watcher {
  /** @type {Set<string> | undefined} */
  known;
  count = -1;
  /** @type {{ at: number, user: string }[]} who was told to have left */
  left = [];
  /** @type {string[]} who was told to have come */
  joined = [];
  /** @type {string[]} frames that contradict each other */
  wrong = [];

  /** @param {Cluster} ring @param {string} user @param {string} group @param {import('../harness/cluster.mjs').LookupOptions} [options] */
  static async at(ring, user, group, options = {}) {
    const watcher = new Watcher();
    watcher.session = await ring.connect(user, { claims: CLAIMS, ...options, onFrame: (frame) => watcher.#hear(frame, group) });
    await watcher.session.request({ op: 'join', group, presence: true });
    return watcher;
  }

  /** @type {Session} */
  session = /** @type {any} */ (undefined);

  /** @param {string} what @param {(watcher: Watcher) => unknown} condition @param {number} [within_ms] */
  async until(what, condition, within_ms = 30_000) {
    await until(`${what}, ${this.session.user} at ${this.session.node}`, () => condition(this), { within_ms, describe: () => ({ count: this.count, known: this.known?.size, left: this.left.length, wrong: this.wrong }) });
    assert.deepEqual(this.wrong, []);
  }

  /** @param {Iterable<string>} users */
  knows(users) {
    const wanted = sorted(users).join();
    return this.until('it knows exactly who is there', () => this.known && sorted(this.known).join() === wanted);
  }

  forget() {
    [this.left, this.joined] = [[], []];
  }

  /** @param {Frame} frame @param {string} group */
  #hear(frame, group) {
    if (frame.op !== 'presence') return;
    if (frame.group !== group) return void this.wrong.push(`of ${frame.group}`);
    this.count = frame.count;
    if (frame.users) {
      if (this.known) this.wrong.push('a roster twice');
      this.known = new Set(frame.users);
    } else if (!frame.joined && !frame.left) {
      this.known = undefined;
      return;
    }
    for (const user of frame.joined ?? []) if (this.known?.has(user) !== false) this.wrong.push(`${user} came twice`);
    else this.joined.push(user), this.known.add(user);
    for (const user of frame.left ?? []) if (!this.known?.delete(user)) this.wrong.push(`${user} went twice`);
    else this.left.push({ at: Date.now(), user });
    if (this.known?.size !== frame.count) this.wrong.push(`count ${frame.count}, not ${this.known?.size}`);
  }
}

/** @param {Cluster} ring @param {string} user @param {string} group @param {import('../harness/cluster.mjs').LookupOptions} [options] */
async function member(ring, user, group, options = {}) {
  const session = await ring.connect(user, { claims: CLAIMS, ...options });
  await session.request({ op: 'join', group });
  return session;
}

/** One user of each node. @param {Cluster} ring @param {string} prefix */
async function oneOfEach(ring, prefix) {
  const document = await ring.ring();
  const all = names(200, prefix);
  return ring.idsOf().sort().map((id) => /** @type {string} */ (all.find((user) => document.homeOf(`u:${user}`) === id)));
}

for (const store of /** @type {const} */ (['redis', 'embedded'])) {
  describe(`presence, ${store}`, () => {
    /** @type {Cluster} */
    let ring;
    /** @type {Watcher[]} */
    let watchers;
    /** @type {Map<string, Session>} */
    const members = new Map();
    const present = () => [...watchers.map(({ session }) => session.user), ...members.keys()];
    const allKnow = () => Promise.all(watchers.map((watcher) => watcher.knows(present())));
    before(async () => (ring = await cluster({ store, nodes: 3, flags: FLAGS })));
    after(() => ring.stop());

    test('500 members over three nodes are told to a watcher at each', { within_ms: 120_000 }, async (t) => {
      watchers = await Promise.all((await oneOfEach(ring, 'w')).map((user) => Watcher.at(ring, user, 'big')));
      const begun = Date.now();
      await inWaves(names(500 - watchers.length, 'm'), async (user) => members.set(user, await member(ring, user, 'big')));
      t.diagnostic(`they joined in ${Date.now() - begun} ms`);
      await allKnow();
      t.diagnostic(`and all know it after ${Date.now() - begun} ms`);
      assert.equal(new Set([...members.values()].map(({ node }) => node)).size, 3);
      for (const { session } of watchers) {
        const answer = await session.request({ op: 'presence', group: 'big' });
        assert.deepEqual([answer.group, answer.count, answer.settling, answer.users], ['big', 500, undefined, sorted(present())]);
        assert.deepEqual(session.errors, []);
      }
      const late = await Watcher.at(ring, 'late', 'big');
      await late.until('its roster', () => late.known);
      assert.ok([500, 501].includes(late.count), `${late.count}`);
      await late.session.request({ op: 'leave', group: 'big' });
      await allKnow();
    });

    test('who leaves is gone at once, who was lost after the grace, and who is back by then never was', async (t) => {
      for (const watcher of watchers) watcher.forget();
      const users = [...members.keys()];
      const [leaving, lost, back, moving] = [users.slice(0, 20), users.slice(20, 40), users.slice(40, 60), users.slice(60, 80)];
      const take = (/** @type {string} */ user) => {
        const session = /** @type {Session} */ (members.get(user));
        members.delete(user);
        return session;
      };
      const lostAt = Date.now();
      for (const user of lost) take(user).socket.terminate();
      await Promise.all(leaving.map((user) => take(user).request({ op: 'leave', group: 'big' })));
      await Promise.all(watchers.map((watcher) => watcher.until('who left', () => watcher.left.length >= leaving.length, GRACE_MS / 2)));
      assert.ok(Date.now() - lostAt < GRACE_MS, 'before anybody else can have been told');
      for (const watcher of watchers) assert.deepEqual(sorted(watcher.left.map(({ user }) => user)), sorted(leaving));
      for (const user of back) take(user).socket.terminate();
      await inWaves(back, async (user) => members.set(user, await member(ring, user, 'big')));
      // They go to another node than their home, the old session detached before the new one is there.
      for (const user of moving) {
        const session = take(user);
        session.sendFrame({ op: 'detach' });
        members.set(user, await member(ring, user, 'big', { avoid: [session.node] }));
      }
      await allKnow();
      for (const watcher of watchers) {
        assert.deepEqual(sorted(watcher.left.map(({ user }) => user)), sorted([...leaving, ...lost]), watcher.session.node);
        assert.deepEqual(watcher.joined, []);
        const [first] = watcher.left.filter(({ user }) => lost.includes(user));
        assert.ok(first.at - lostAt >= GRACE_MS - 200, `after ${first.at - lostAt} ms`);
      }
      t.diagnostic(`the lost ones were told after ${Math.max(...watchers.map(({ left }) => Math.max(...left.map(({ at }) => at)))) - lostAt} ms`);
    });

    test('a user with several sessions is there until the last one has gone', async () => {
      for (const watcher of watchers) watcher.forget();
      const first = await member(ring, 'twice', 'big');
      const second = await member(ring, 'twice', 'big', { avoid: [first.node] });
      assert.notEqual(first.node, second.node);
      await Promise.all(watchers.map((watcher) => watcher.until('twice', () => watcher.known?.has('twice'))));
      await first.request({ op: 'leave', group: 'big' });
      const { users } = await second.request({ op: 'presence', group: 'big' });
      assert.ok(users.includes('twice'));
      await second.request({ op: 'leave', group: 'big' });
      await allKnow();
      for (const watcher of watchers) assert.deepEqual([watcher.joined, watcher.left.map(({ user }) => user)], [['twice'], ['twice']]);
    });

    test('who is online is known over all nodes', async () => {
      const [asker] = watchers;
      const users = [...members.keys()];
      const asked = [...users, ...names(300, 'nobody')];
      const answer = await asker.session.request({ op: 'online', users: asked });
      assert.deepEqual([answer.online, answer.settling], [users, undefined]);
      const gone = await ring.connect('gone');
      const lostAt = Date.now();
      await gone.close();
      const isOnline = async () => (await asker.session.request({ op: 'online', users: ['gone'] })).online.length === 1;
      assert.ok(await isOnline(), 'within the grace');
      await until('nobody waits for them any more', async () => !(await isOnline()), { within_ms: 2 * GRACE_MS });
      assert.ok(Date.now() - lostAt >= GRACE_MS - 200, `after ${Date.now() - lostAt} ms`);
      assert.deepEqual((await asker.session.request({ op: 'online', users: [] })).online, []);
      await assert.rejects(asker.session.request({ op: 'online', users: names(1_001) }), /too_many_users/);
    });

    test('above 1,000 members only their number is told', { within_ms: 120_000 }, async () => {
      const wanted = 1_001 - present().length;
      const more = names(wanted, 'x');
      await inWaves(more, async (user) => members.set(user, await member(ring, user, 'big')));
      await Promise.all(watchers.map((watcher) => watcher.until('the number', () => watcher.count === 1_001 && !watcher.known)));
      const answer = await watchers[1].session.request({ op: 'presence', group: 'big' });
      assert.deepEqual([answer.count, answer.users], [1_001, undefined]);
      for (const user of more.slice(0, 2)) {
        await members.get(user)?.request({ op: 'leave', group: 'big' });
        members.delete(user);
      }
      await allKnow();
    });
  });
}

test('nodes and the home of a group are killed: nobody is told to have left who has not', { within_ms: 120_000 }, async (t) => {
  const ring = await cluster({ nodes: 3, flags: FLAGS });
  t.after(() => ring.stop());
  const document = await ring.ring();
  const group = /** @type {string} */ (names(200, 'room-').find((name) => document.homeOf(`g:${name}`) === 'n1'));
  const [, two] = await oneOfEach(ring, 'w');
  const watcher = await Watcher.at(ring, two, group);
  assert.equal(watcher.session.node, 'n2');
  /** @type {Map<string, Session>} */
  const members = new Map();
  await inWaves(names(120, 'm'), async (user) => members.set(user, await member(ring, user, group)));
  await watcher.knows([two, ...members.keys()]);
  const usersAt = (/** @type {string} */ node) => [...members].filter(([, session]) => session.node === node).map(([user]) => user);

  // A node that is not the home: half of its users come back elsewhere.
  watcher.forget();
  const dead = usersAt('n3');
  assert.ok(dead.length > 20, `${dead.length}`);
  const [back, gone] = [dead.filter((_, i) => i % 2), dead.filter((_, i) => i % 2 === 0)];
  const nodeKilledAt = Date.now();
  await ring.kill(ring.node('n3'));
  await inWaves(back, async (user) => members.set(user, await member(ring, user, group, { avoid: ['n3'] })));
  t.diagnostic(`${back.length} came back within ${Date.now() - nodeKilledAt} ms`);
  gone.forEach((user) => members.delete(user));
  await watcher.knows([two, ...members.keys()]);
  assert.deepEqual(sorted(watcher.left.map(({ user }) => user)), sorted(gone));
  assert.deepEqual(watcher.joined, []);
  assert.ok(watcher.left[0].at - nodeKilledAt >= GRACE_MS - 200, `${watcher.left[0].at - nodeKilledAt} ms`);

  // The home, with members of its own.
  await ring.untilSeen(['n1', 'n2']);
  await delay(GRACE_MS);
  watcher.forget();
  const homes = usersAt('n1');
  const homeKilledAt = Date.now();
  await ring.kill(ring.node('n1'));
  const settling = await until('the new home says that it may not know everybody', async () => {
    const answer = await watcher.session.request({ op: 'presence', group });
    return answer.settling && answer;
  });
  t.diagnostic(`the new home answers after ${Date.now() - homeKilledAt} ms, with ${settling.count} members`);
  homes.forEach((user) => members.delete(user));
  const [again, never] = [homes.slice(0, 10), homes.slice(10)];
  await inWaves(again, async (user) => members.set(user, await member(ring, user, group, { avoid: ['n1', 'n3'] })));
  await watcher.knows([two, ...members.keys()]);
  t.diagnostic(`and tells who is missing after ${Date.now() - homeKilledAt} ms`);
  assert.deepEqual(sorted(watcher.left.map(({ user }) => user)), sorted(never));
  assert.deepEqual(watcher.joined, []);
  const answer = await watcher.session.request({ op: 'presence', group });
  assert.deepEqual([answer.settling, answer.count], [undefined, members.size + 1]);
});
