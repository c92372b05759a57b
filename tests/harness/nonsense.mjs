/** What may stand between a client and a lookup service, and answers in its place: a page to sign in to the network, a proxy. */
import { once } from 'node:events';
import { createServer } from 'node:http';

/** Each is answered once, before the first request that reaches the service. */
const ANSWERS = [
  { status: 200, type: 'text/html', text: '<h1>Welcome to our network</h1>' },
  { status: 200, type: 'application/json', text: '["no object"]' },
  { status: 200, type: 'application/json', text: '{"url": 7, "retry": null}' },
  { status: 503, type: 'text/plain', text: 'soon', retry_after: 'Wed, 21 Oct 2015 07:28:00 GMT' },
];

/** @param {import('node:test').TestContext} t @param {string} service its url @returns {Promise<{url: string, asked: () => number, nonsense: number}>} where to look up, how often somebody did, and how often nonsense is answered */
export async function inBetween(t, service) {
  let asked = 0;
  const server = createServer(async ({ url, headers }, response) => {
    const answer = ANSWERS[asked++];
    if (answer) {
      response.writeHead(answer.status, { 'content-type': answer.type, ...(answer.retry_after && { 'retry-after': answer.retry_after }) });
      return response.end(answer.text);
    }
    const { authorization = '' } = headers;
    const passed = await fetch(`${service}${url}`, { headers: { authorization } });
    response.writeHead(passed.status, { 'content-type': passed.headers.get('content-type') ?? '' });
    return response.end(await passed.text());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  return { url: `http://127.0.0.1:${port}`, asked: () => asked, nonsense: ANSWERS.length };
}
