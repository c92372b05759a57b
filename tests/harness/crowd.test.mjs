/** The crowd over a toy cluster: content with a good one, and it sees each fault of a bad one. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { Cluster } from './cluster.mjs';
import { Crowd, names } from './crowd.mjs';
import { startFake } from './fake.mjs';

/** A crowd of 30 that has sent its messages. @param {import('node:test').TestContext} t @param {import('./fake.mjs').Fault} fault */
async function crowdOver(t, fault) {
  const fake = await startFake(3, fault);
  t.after(fake.stop);
  const running = /** @type {any} */ ({ running: true });
  const cluster = new Cluster({});
  cluster.lookups = [{ url: fake.url, admin: '', process: running }];
  cluster.nodes = fake.nodes.map((node) => ({ ...node, service: 'default', peer: '', admin: '', process: running }));
  const crowd = await new Crowd(cluster).join(names(30));
  const sent = await crowd.everyoneToEveryNode(3, 2);
  return { cluster, crowd, sent };
}

test('a good cluster satisfies it, and the ring as it is published', async (t) => {
  const { cluster, crowd, sent } = await crowdOver(t, 'none');
  await crowd.settle();
  assert.equal(crowd.checker.received, sent);
  const document = await cluster.ring();
  for (const [user, session] of crowd.sessions) assert.equal(session.node, document.home(user));
});

for (const [fault, finding] of /** @type {const} */ ([['lose', 'lost'], ['duplicate', 'duplicate'], ['misdeliver', 'misdelivered'], ['reorder', 'disordered'], ['alter', 'altered']])) {
  test(`a cluster that does ${fault} is found out`, async (t) => {
    const { crowd } = await crowdOver(t, fault);
    await assert.rejects(crowd.settle(1_000), new RegExp(`\\d+ ${finding}`));
  });
}

test('a lookup that answers with another node is found out', async (t) => {
  const { cluster } = await crowdOver(t, 'wrong home');
  const document = await cluster.ring();
  assert.notEqual((await cluster.lookup('alice')).node, document.home('alice'));
});
