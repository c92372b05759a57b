/**
 * Nodes come, go and die while users send. Messages may be lost when a process ends (they are ephemeral); none comes twice,
 * out of order or to the wrong user, and when it is quiet again every message arrives. While nodes only come, nothing that
 * was acknowledged may be lost, and each send has exactly one answer.
 */
import assert from 'node:assert/strict';
import { cluster } from '../harness/cluster.mjs';
import { Crowd, names } from '../harness/crowd.mjs';
import { test } from '../harness/test.mjs';
import { delay, until, within } from '../harness/until.mjs';

const USERS = names(60);
const ROUND_MS = 1500;
/** A node answers a send after 5 s at the latest; the rest is the machine's. */
const ANSWER_MS = 15_000;

test('no message comes twice while nodes come, go and die', { within_ms: 150_000 }, async (t) => {
  // These clients know no `moved`.
  const ring = await cluster({ nodes: 3, lookups: 2, flags: { node: ['--drain-deadline', '1s'] } });
  t.after(() => ring.stop());
  const crowd = await new Crowd(ring).join(USERS);
  const changes = [
    () => ring.startNode({ id: 'n4' }),
    () => ring.kill(ring.node('n1')),
    () => ring.node('n2').process.signal('SIGTERM'),
    () => ring.startNode({ id: 'n5', weight: 300 }),
    () => ring.startNode({ id: 'n1' }),
    () => ring.kill(ring.node('n5')),
  ];
  let changing = true;
  const traffic = sendAlways(crowd, () => changing);
  for (const change of changes) {
    await change();
    await delay(ROUND_MS);
  }
  changing = false;
  const sent = await traffic;
  t.diagnostic(`${sent} messages sent during ${changes.length} changes, ${crowd.checker.received} received`);
  await ring.untilSeen(['n1', 'n3', 'n4']);
  await reconnect(crowd);
  assert.deepEqual(crowd.checker.findings(), [], 'what arrived in the storm was right');

  await crowd.everyoneToEveryNode(3, 2);
  await until('every message of the quiet time arrives', () => crowd.checker.missing().length === 0, { describe: () => crowd.checker.missing().slice(0, 5) });
  crowd.checker.assertClean();
});

test('while nodes only come, what was acknowledged arrives, once, and every send has one answer', { within_ms: 150_000 }, async (t) => {
  const ring = await cluster({ nodes: 2 });
  t.after(() => ring.stop());
  const sessions = new Map(await Promise.all(USERS.map(async (user) => /** @type {const} */ ([user, await ring.connect(user)]))));
  let changing = true;
  const traffic = [...sessions.values()].map((session, i) => sendOn(session, i, () => changing));
  for (const id of ['n3', 'n4', 'n5']) {
    await ring.startNode({ id });
    await delay(ROUND_MS);
  }
  changing = false;
  const sent = (await Promise.all(traffic)).flat();
  await ring.untilSeen(['n1', 'n2', 'n3', 'n4', 'n5']);

  const failed = sent.filter(({ answer }) => answer instanceof Error || answer.failed);
  const end = await ring.ring();
  // Slots go to the newcomers only. A new home may not know yet of a session that is elsewhere: what is lost there is no fault.
  const settled = USERS.filter((user) => end.home(user) === sessions.get(user)?.node);
  t.diagnostic(`${sent.length} sends, ${failed.length} of them failed; ${settled.length} of ${USERS.length} users kept their home`);
  assert.ok(settled.length > 0 && settled.length < USERS.length, `${settled.length} of ${USERS.length} users kept their home`);
  assert.deepEqual(failed.map(({ from, answer }) => `${from}: ${answer.message ?? JSON.stringify(answer.failed)}`), [], 'no send has to fail for a node that comes');

  const lost = () => settled.flatMap((user) => {
    const got = new Set(sessions.get(user)?.inbox.map(({ data }) => `${data.from}#${data.n}`));
    return sent.filter(({ from, n, to }) => to.includes(user) && !got.has(`${from}#${n}`)).map(({ from, n, to }) => `${from}#${n} to ${to}, at ${user}`);
  });
  await until('what was acknowledged arrives', () => lost().length === 0, { describe: () => `${lost().length} lost: ${lost().slice(0, 5).join('; ')}` });
  for (const session of sessions.values()) {
    assert.deepEqual(wrongAt(session), []);
    const answers = session.frames.filter((frame) => frame.op === 'ack' || frame.op === 'error').map((frame) => frame.ref);
    assert.equal(new Set(answers).size, answers.length, `${session.user} got two answers to a send`);
    assert.equal(session.closed, undefined);
  }
});

/**
 * One session sends until told to stop, without waiting for the answers: now to one user, now to several.
 * @param {import('../harness/session.mjs').Session} session @param {number} i @param {() => boolean} going
 */
async function sendOn(session, i, going) {
  const sends = [];
  for (let n = 1; going(); n++) {
    const to = Array.from({ length: n % 3 === 0 ? 5 : 1 }, (_, k) => USERS[(i + n + 7 * k) % USERS.length]);
    const sent = session.send(to.length === 1 ? { user: to[0] } : { users: to }, { from: session.user, n, to });
    const answer = within(`the answer to ${session.user}`, sent, ANSWER_MS).catch((error) => error);
    sends.push(answer.then((answer) => ({ from: session.user, n, to, answer })));
    await delay(80);
  }
  return Promise.all(sends);
}

/** What came twice, out of order, or to the wrong user. @param {import('../harness/session.mjs').Session} session */
function wrongAt(session) {
  const newest = new Map();
  return session.inbox.flatMap(({ from, topic, data }) => {
    const right = from === data.from && topic === `u:${session.user}` && data.to.includes(session.user) && data.n > (newest.get(from) ?? 0);
    newest.set(from, Math.max(data.n, newest.get(from) ?? 0));
    return right ? [] : [`${from}#${data.n} to ${data.to}, at ${session.user}`];
  });
}

/** Everybody sends to somebody, round by round; whoever lost their connection comes back. @param {Crowd} crowd @param {() => boolean} going */
async function sendAlways(crowd, going) {
  let sent = 0;
  for (let round = 1; going(); round++) {
    // Not reported as acknowledged: that what a killed node took is lost is no fault here. But each send has an answer, or its connection ends.
    const sends = USERS.map((user, i) => {
      const to = USERS[(i + round) % USERS.length];
      return crowd.sessions.get(user)?.send({ user: to }, crowd.checker.message(user, to));
    });
    sent += sends.length;
    await within('the answers to a round', Promise.allSettled(sends), ANSWER_MS);
    await reconnect(crowd);
    await delay(100);
  }
  return sent;
}

/** @param {Crowd} crowd */
async function reconnect(crowd) {
  const lost = USERS.filter((user) => crowd.sessions.get(user)?.closed);
  for (const user of lost) crowd.retire(user);
  await Promise.all(lost.map((user) => until(`${user} is back`, () => crowd.connect(user), { within_ms: 20_000, every_ms: 50 })));
}
