/** Two lookup services and three nodes on Redis: 300 users, each sending to users on every node, each message once. */
import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { cluster } from '../harness/cluster.mjs';
import { Crowd, names } from '../harness/crowd.mjs';
import { test } from '../harness/test.mjs';

describe('two lookup services and three nodes on Redis', () => {
  /** @type {import('../harness/cluster.mjs').Cluster} */
  let ring;
  before(async () => (ring = await cluster({ nodes: 3, lookups: 2 })));
  after(() => ring.stop());

  test('300 users each reach users on every node, each message once', { within_ms: 120_000 }, async () => {
    const crowd = await new Crowd(ring).join(names(300));
    const perNode = ring.idsOf().map((id) => [...crowd.sessions.values()].filter((session) => session.node === id).length);
    assert.ok(Math.min(...perNode) > 50, `users spread over the nodes: ${perNode}`);
    const sent = await crowd.everyoneToEveryNode(5, 3);
    assert.equal(sent, 300 * 3 * 5 * 3);
    await crowd.settle();
    assert.equal(crowd.checker.received, sent);
    assert.deepEqual(crowd.closed(), []);
  });

  test('one send to many users reaches each once, over all nodes', async () => {
    const crowd = await new Crowd(ring).join(names(60, 'many-'));
    const sender = await ring.connect('announcer');
    const users = [...crowd.sessions.keys()];
    const ack = await sender.send({ users }, { text: 'all hands' });
    assert.deepEqual(ack.failed ?? [], []);
    for (const session of crowd.sessions.values()) await session.until('the message', () => session.inbox.length > 0);
    for (const session of crowd.sessions.values()) {
      const [message, ...more] = session.inbox;
      assert.deepEqual([message.from, message.data, message.topic, more], ['announcer', { text: 'all hands' }, `u:${session.user}`, []]);
    }
  });

  test('both sessions of a user receive, and only once each', async () => {
    const crowd = new Crowd(ring);
    const phone = await crowd.connect('two-devices');
    const laptop = await crowd.connect('two-devices');
    await crowd.connect('friend');
    assert.notEqual(phone.welcome?.session, laptop.welcome?.session);
    for (let i = 0; i < 10; i++) await crowd.send('friend', 'two-devices', `${i}`);
    await crowd.settle();
    assert.deepEqual([phone.inbox.length, laptop.inbox.length], [10, 10]);
    await phone.close();
    const payload = crowd.checker.message('friend', 'two-devices', 'to the laptop');
    await crowd.sessions.get('friend')?.send({ user: 'two-devices' }, payload);
    await laptop.until('a message after the phone left', () => laptop.inbox.length === 11);
  });

  test('any JSON passes unchanged, between nodes too', async () => {
    const crowd = await new Crowd(ring).join(names(12, 'json-'));
    const values = [null, true, 0, -1.5e300, '', 'grüße 用户 \u0000 "\\', [], {}, { a: [{ b: null }] }, [[[[]]]], 12345678901];
    const sessions = [...crowd.sessions.values()];
    for (const [i, session] of sessions.entries()) {
      session.options.onMessage = undefined;
      const sender = sessions[(i + 1) % sessions.length];
      for (const value of values) await sender.send({ user: session.user }, value);
      await session.until('all values', () => session.inbox.length === values.length);
      assert.deepEqual(session.inbox.map((message) => message.data), values);
    }
  });

  test('a message to oneself, and to nobody', async () => {
    const alone = await ring.connect('alone');
    await alone.send({ user: 'alone' }, 'note to self');
    await alone.until('the note', () => alone.inbox.length === 1);
    assert.equal(alone.inbox[0].from, 'alone');
    const ack = await alone.send({ user: 'nobody-here' }, 'hello?');
    assert.equal(ack.op, 'ack');
  });
});
