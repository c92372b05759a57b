/** The judges of the demonstrations are judged: content with what is good, red at each fault; and the watcher with sockets by hand. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Judged } from '../harness/npm-member.mjs';
import { seeded } from '../harness/random.mjs';
import { TopicChecker } from '../harness/topic-checker.mjs';
import { scheduleOf } from './changes.mjs';
import { apart, judgeReturns, uneven } from './evenness.mjs';
import { judge, readClient } from './judge.mjs';
import { FULL, SHORT } from './scales.mjs';
import { watcherOf } from './watcher.mjs';

/** @typedef {import('./watcher.mjs').Sighting} Sighting */

const SCALE = { ...SHORT, clients: 2, rate: 10 };
const FIGURES = { sent: 250, acknowledged: 250, delivered: 500, failed: 0, gaps: 0, lost: 0, repeated: 0, disordered: 0, unexpected: 0, altered: 0 };
const KILLED_MS = 20_000;

/** @param {number} at_ms @param {Sighting['kind']} kind @param {object} [more] @returns {Sighting} */
const see = (at_ms, kind, more = {}) => ({ at_ms, kind, ...more });
/** @param {number} at_ms @param {number} socket @param {string} node */
const arrives = (at_ms, socket, node) => [see(at_ms, 'opening', { socket }), see(at_ms + 5, 'welcome', { socket, node })];
/** @param {number} at_ms @param {number} to a socket that is next to the one before it, which is let go @param {string} node */
const moves = (at_ms, to, node) => [...arrives(at_ms, to, node), see(at_ms + 6, 'moved'), see(at_ms + 9, 'gone', { socket: to - 1, code: 1000 })];
const begins = [see(0, 'status', { state: 'connecting' }), ...arrives(1, 1, 'n1'), see(6, 'status', { state: 'connected' })];
const lost = [see(KILLED_MS + 10, 'gone', { socket: 2, code: 1006 }), see(KILLED_MS + 10, 'status', { state: 'reconnecting' })];
const returns = [...arrives(KILLED_MS + 400, 3, 'n3'), see(KILLED_MS + 405, 'status', { state: 'connected' })];
const GOOD = [...begins, ...moves(5_000, 2, 'n2'), ...lost, ...returns, ...moves(22_000, 4, 'n1')];

/** Two clients that moved twice, and lost a node that was killed. @param {{ figures?: Partial<typeof FIGURES>, sightings?: Sighting[], played?: object, findings?: string[] }} [changes] of the second */
function verdict({ figures = {}, sightings = GOOD, played = {}, findings = [] } = {}) {
  const clients = [{ name: 'one', sightings: GOOD }, { name: 'other', sightings }];
  return judge({ platform: 'Node', figures: { ...FIGURES, ...figures }, clients, findings }, { joins: 2, drains: 2, kills: [{ node: 'n2', at_ms: KILLED_MS }], seconds: 25, ...played }, SCALE);
}

test('what is good is good, and its figures are told', () => {
  const { row, wrong } = verdict();
  assert.deepEqual(wrong, []);
  assert.deepEqual([row.moves, row.killed, row.killed_p50_ms, row.left, row.without_ms, row.sockets], [4, 2, 395, 0, 0, 2]);
});

test('who had just moved to a killed node, and gave up its old connection with the new one, was hit by the kill', () => {
  const both = [...GOOD, ...arrives(23_000, 5, 'n2'), see(23_010, 'gone', { socket: 5, code: 1006 }), see(23_010, 'gone', { socket: 4 }), see(23_010, 'status', { state: 'reconnecting' })];
  const kills = [{ node: 'n2', at_ms: KILLED_MS }, { node: 'n2', at_ms: 23_008 }];
  const { row, wrong } = verdict({ sightings: [...both, ...arrives(23_500, 6, 'n3'), see(23_505, 'status', { state: 'connected' })], played: { kills } });
  assert.deepEqual([wrong, row.killed], [[], 3]);
});

/** A move in which the old socket is gone a second before the new one is welcome. */
const HOLE = [see(23_000, 'gone', { socket: 4, code: 1000 }), ...arrives(23_995, 5, 'n3'), see(24_001, 'moved')];
/** @param {Sighting[]} more */
const also = (...more) => ({ sightings: [...GOOD, ...more] });

for (const [what, changes, said] of /** @type {[string, Parameters<typeof verdict>[0], RegExp][]} */ ([
  ['a lost message', { figures: { lost: 1 } }, /^1 lost$/],
  ['a repeated message', { figures: { repeated: 1 } }, /^1 repeated$/],
  ['a message out of order', { figures: { disordered: 1 } }, /^1 disordered$/],
  ['a message that was for somebody else', { figures: { unexpected: 1 } }, /^1 strange$/],
  ['a gap', { figures: { gaps: 1 } }, /^1 gaps$/],
  ['a send that failed', { figures: { failed: 1 } }, /^1 sends failed$/],
  ['too few messages', { figures: { sent: 100, acknowledged: 100 } }, /^only 100 messages sent/],
  ['too few acknowledged', { figures: { acknowledged: 200 } }, /^only 200 of 250/],
  ['too few delivered', { figures: { delivered: 200 } }, /^only 200 deliveries/],
  ['too few changes', { played: { joins: 1 } }, /^only 1 joins/],
  ['drains in which nobody moved', { played: { drains: 5 } }, /^only 4 moves in 5 drains$/],
  ['kills by which nobody was hit', { played: { kills: [{ node: 'n2', at_ms: KILLED_MS }, { node: 'n3', at_ms: 1 }, { node: 'n3', at_ms: 2 }] } }, /^only 2 clients were hit by 3 kills$/],
  ['a finding of the checker or the page', { findings: ['exception: x'] }, /^exception: x$/],
  ['a second without a socket in a planned move', also(...HOLE), /^1 without a socket.*other of n1 for 1000 ms \(1000\)$/],
  ['no time at all without a socket in a planned move', also(see(23_000, 'gone', { socket: 4 }), see(23_000, 'welcome', { socket: 5, node: 'n3' })), /^1 without a socket.*0 ms \(given up\)$/],
  ['a broken connection elsewhere, at the time of the kill', { sightings: [...GOOD.slice(0, -5), see(21_000, 'gone', { socket: 3, code: 1006 }), ...arrives(21_100, 4, 'n1')] }, /1 without a socket.*other of n3/],
  ['a killed node\'s connection that was closed and not broken', { sightings: GOOD.map((one) => (one.code === 1006 ? { ...one, code: 4002 } : one)) }, /^1 without a socket.*4002/],
  ['a second broken connection by one kill', also(...moves(23_000, 5, 'n2'), see(24_000, 'gone', { socket: 5, code: 1006 }), ...arrives(24_100, 6, 'n1')), /^1 without a socket.*other of n2/],
  ['a third socket', also(...arrives(23_000, 5, 'n3'), see(23_006, 'opening', { socket: 6 }), see(23_007, 'gone', { socket: 6 }), see(23_008, 'gone', { socket: 5 })), /^1 more than 2 sockets at a time: other: 3$/],
  ['a word of `reconnecting` in a planned move', also(see(23_000, 'status', { state: 'reconnecting' }), see(23_000, 'status', { state: 'connected' })), /^1 left `connected`.*other of n1: reconnecting$/],
  ['who is gone at the end', also(see(24_000, 'gone', { socket: 4, code: 1006 })), /without a socket.*Infinity ms.*\n.*not connected at the end: other/],
  ['who never came back from a kill', { sightings: [...begins, ...moves(5_000, 2, 'n2'), ...lost] }, /^1 not connected at the end: other$/],
])) {
  test(`${what}: found`, () => assert.match(verdict(changes).wrong.join('\n'), said));
}

/** Five messages to one client, as it got them. @param {(messages: any[]) => any[]} spoil */
function got(spoil) {
  const checker = new TopicChecker();
  const judged = new Judged(checker.receiver('bea', 'bea'));
  judged.begin('u:bea', { epoch: 'e', offset: 0, recovered: true });
  const messages = Array.from({ length: 5 }, (_, i) => {
    const data = checker.message('ada', { user: 'bea' });
    checker.acknowledged(data.n, { epoch: 'e', offset: i + 1 });
    return { topic: 'u:bea', epoch: 'e', offset: i + 1, from: 'ada', data, time: 1 };
  });
  for (const message of spoil(messages)) judged.message(message);
  return verdict({ figures: checker.counts() }).wrong.join('\n');
}

test('messages as they were sent are good', () => assert.equal(got((all) => all), ''));
test('one that a client never gave is found', () => assert.match(got((all) => all.toSpliced(4, 1)), /^1 lost$/));
test('one that a client gave twice is found', () => assert.match(got((all) => all.toSpliced(2, 0, all[1])), /^1 repeated$/));
test('two that a client swapped are found', () => assert.match(got(([a, b, c, ...rest]) => [a, c, b, ...rest]), /^1 disordered$/));

describe('the watcher', () => {
  /** A socket and a client by hand, and what was seen of them. */
  function scene() {
    /** @type {Sighting[]} */
    const sightings = [];
    const watcher = watcherOf((sighting) => sightings.push(sighting));
    const socket = () => {
      const made = Object.assign(new EventTarget(), { close() {} });
      watcher.socket(made);
      const say = (/** @type {object} */ frame) => made.dispatchEvent(Object.assign(new Event('message'), { data: JSON.stringify(frame) }));
      const end = (/** @type {number} */ code) => made.dispatchEvent(Object.assign(new Event('close'), { code }));
      return { made, end, welcome: (/** @type {string} */ node) => say({ op: 'welcome', node }) };
    };
    return { socket, read: () => readClient({ name: 'x', sightings }) };
  }

  test('sees no hole where the old socket is let go after the new one is welcome', () => {
    const { socket, read } = scene();
    const [one, other] = [socket(), socket()];
    one.welcome('n1'), other.welcome('n2'), one.made.close(), one.end(1000);
    assert.deepEqual([read().holes, read().most], [[], 2]);
  });

  test('sees a hole where the old socket is let go before, if only for no time', () => {
    const { socket, read } = scene();
    const [one, other] = [socket(), socket()];
    one.welcome('n1'), one.made.close(), other.welcome('n2'), one.end(1000);
    assert.deepEqual(read().holes.map(({ node, code }) => [node, code]), [['n1', undefined]]);
  });

  test('sees the code of a socket that is closed by the other side, and a third socket', () => {
    const { socket, read } = scene();
    const [one] = [socket(), socket(), socket()];
    one.welcome('n1'), one.end(1006);
    assert.deepEqual([read().holes.map(({ node, code }) => [node, code]), read().most], [[['n1', 1006]], 3]);
  });
});

test('the schedule has every deed, kills between the others, and joins before drains', () => {
  for (const scale of [FULL, SHORT]) {
    const schedule = scheduleOf(scale);
    const count = (/** @type {string} */ deed) => schedule.filter((one) => one === deed).length;
    assert.deepEqual([count('join'), count('drain'), count('kill')], [scale.joins, scale.drains, scale.kills]);
    assert.deepEqual(schedule.filter((deed) => deed !== 'kill').slice(0, 4), ['join', 'drain', 'join', 'drain']);
  }
});

describe('a crowd that returns', () => {
  const CLIENTS = 1_000;
  const even = Array.from({ length: CLIENTS }, (_, i) => ({ user: `u${i}`, spread_ms: 500, lost_ms: 10_000, chosen_ms: i / 2, asked_ms: 10_001 + i / 2, back_ms: 10_010 + i / 2, lookups: 1 + (i % 3) }));
  const wrong = (/** @type {(one: typeof even[0], i: number) => object} */ change) => judgeReturns(even.map((one, i) => ({ ...one, ...change(one, i) })), CLIENTS).wrong.join('\n');

  test('evenly is good, and is drawn', () => {
    const { wrong, lines } = judgeReturns(even, CLIENTS);
    assert.deepEqual(wrong, []);
    assert.match(lines.join('\n'), / +100 #{50}/);
  });
  test('at once is found', () => assert.match(wrong(() => ({ chosen_ms: 0 })), /1000 of 1000 in tenth 1 of the window/));
  test('in half of the time is found', () => assert.match(wrong(({ chosen_ms }) => ({ chosen_ms: chosen_ms / 2 })), /200 of 1000 in tenth 1 [^]*\b0 of 1000 in tenth 6/));
  test('more and more is found', () => assert.match(wrong(({ chosen_ms }) => ({ chosen_ms: Math.sqrt(chosen_ms * 500) })), /in tenth 10/));
  test('outside of what the node told is found', () => assert.match(wrong((_, i) => (i === 7 ? { chosen_ms: 500, asked_ms: 10_501 } : {})), /^1 chose a time outside.*u7: 500 of 500 ms$/));
  test('setting out before the chosen time is found', () => assert.match(wrong((_, i) => (i === 700 ? { asked_ms: 10_100 } : {})), /^1 set out before.*u700: after 100 of 350 ms$/));
  test('a fourth lookup is found', () => assert.match(wrong((_, i) => (i === 7 ? { lookups: 4 } : {})), /^1 needed more than 3 lookups: u7: 4$/));
  test('who is not back is found', () => assert.match(wrong((_, i) => (i === 7 ? { back_ms: 0 } : {})), /^only 999 of 1000/));
  const came = (/** @type {(wait_ms: number) => number} */ wait) => judgeReturns(even.map((one) => ({ ...one, asked_ms: one.lost_ms + wait(one.asked_ms - one.lost_ms) })), CLIENTS, true).wrong.filter((said) => said.startsWith('set out unevenly')).join('\n');
  test('setting out evenly is good, on a slow machine too', () => assert.deepEqual([came((ms) => ms), came((ms) => ms + 100)], ['', '']));
  test('setting out at once is found', () => assert.match(came(() => 3), /0\.99 of the crowd apart/));
  test('setting out in half of the window, or in twice the window, is found', () => assert.match(`${came((ms) => ms / 2)}\n${came((ms) => ms * 2)}`, /0\.50 .*\n.*0\.50 /));
  test('setting out in two waves is found', () => assert.match(came((ms) => (ms < 250 ? 0 : 499)), /0\.50 of the crowd apart/));
  test('chance is no fault', () => {
    const random = seeded(1);
    for (let i = 0; i < 200; i++) assert.ok(apart(Array.from({ length: FULL.crowd }, random).sort((a, b) => a - b)) < 0.08);
    for (const size of [SHORT.crowd, FULL.crowd]) for (let i = 0; i < 200; i++) assert.deepEqual(uneven(Array.from({ length: size }, random)), []);
  });
});
