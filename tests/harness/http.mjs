/** HTTP requests by node:http, so that a private CA, odd methods and raw headers are possible. */
import http from 'node:http';
import https from 'node:https';

/** @typedef {{ status: number, headers: import('node:http').IncomingHttpHeaders, text: string, json: any }} Answer */

/**
 * @param {string} url
 * @param {{ method?: string, headers?: Record<string, string>, body?: string | object, ca?: string, within_ms?: number }} [options]
 *   an object as `body` is sent as JSON
 * @returns {Promise<Answer>} whatever the status is; rejects only when there is no answer
 */
export function request(url, { method = 'GET', headers = {}, body, ca, within_ms = 10_000 } = {}) {
  const payload = typeof body === 'object' ? JSON.stringify(body) : body;
  const allHeaders = typeof body === 'object' ? { 'content-type': 'application/json', ...headers } : headers;
  return new Promise((resolve, reject) => {
    const { request } = url.startsWith('https:') ? https : http;
    const outgoing = request(url, { method, headers: allHeaders, ca, agent: false }, (incoming) => {
      let text = '';
      incoming.setEncoding('utf8');
      incoming.on('data', (chunk) => (text += chunk));
      incoming.on('error', reject);
      incoming.on('end', () => resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, text, json: parse(text) }));
    });
    outgoing.setTimeout(within_ms, () => outgoing.destroy(new Error(`no answer from ${url.split('?')[0]} within ${within_ms} ms`)));
    outgoing.on('error', reject);
    outgoing.end(payload);
  });
}

/** @param {string} text */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** An answer that is not the wanted one, with its problem+json. */
export class ProblemError extends Error {
  /** @param {string} what @param {Answer} answer */
  constructor(what, answer) {
    super(`${what}: ${answer.status} ${answer.text.slice(0, 300)}`);
    this.status = answer.status;
    this.code = answer.json?.code;
    this.temporary = answer.json?.temporary;
    this.retry_after_ms = answer.json?.retry_after_ms;
  }
}
