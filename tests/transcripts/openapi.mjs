/** What docs/openapi.json promises for a request, and whether an answer is that. */
import Ajv from 'ajv/dist/2020.js';
import { text } from '../tidy/documents.mjs';

const ID = 'openapi.json';
const document = JSON.parse(text('docs/openapi.json'));
const ajv = new Ajv({ strict: false }).addSchema(document, ID);

/** @param {string[]} keys */
const pointer = (keys) => keys.map((key) => `/${encodeURIComponent(key.replaceAll('~', '~0').replaceAll('/', '~1'))}`).join('');

/** @param {string} template @param {string} path */
const fits = (template, path) => new RegExp(`^${template.replace(/[.*+?^$()|[\]\\]/g, '\\$&').replace(/\{\w+\}/g, '[^/]+')}$`).test(path);

/**
 * What is wrong with an answer's status and body.
 * @param {{ method: string, path: string }} request @param {number} status @param {unknown} body undefined: not looked at
 * @returns {string | undefined}
 */
export function faultOfAnswer({ method, path }, status, body) {
  const template = Object.keys(document.paths).find((one) => fits(one, path.split('?')[0]));
  if (!template) return `docs/openapi.json has no ${path}`;
  const place = ['paths', template, method.toLowerCase(), 'responses', String(status)];
  const promised = place.reduce((value, key) => value?.[key], document);
  if (!promised) return `docs/openapi.json promises no ${status} for ${method} ${template}`;
  const at = promised.$ref ? promised.$ref.slice(2).split('/') : place;
  const { content } = at.reduce((/** @type {any} */ value, /** @type {string} */ key) => value[key], document);
  if (body === undefined || !content) return undefined;
  const schema = { $ref: `${ID}#${pointer([...at, 'content', Object.keys(content)[0], 'schema'])}` };
  const validate = ajv.compile(schema);
  return validate(body) ? undefined : `not as docs/openapi.json says of ${method} ${template}: ${ajv.errorsText(validate.errors, { dataVar: 'body' })}`;
}
