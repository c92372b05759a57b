/** docs/openapi.json and docs/asyncapi.json: valid by the standards' own schemas, and made of the schemas in docs/schemas/. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import test from 'node:test';
import { Validator } from '@seriousme/openapi-schema-validator';
import Ajv from 'ajv';
import { REPOSITORY } from '../harness/binaries.mjs';
import { schemas } from '../transcripts/schemas.mjs';
import { OPENAPI, SHARED, bundled } from './protocol-bundle.mjs';
import { read } from './source.mjs';

const ASYNCAPI = path.join(REPOSITORY, 'docs/asyncapi.json');
const openapi = () => JSON.parse(read(OPENAPI));
const asyncapi = () => JSON.parse(read(ASYNCAPI));

/** What AsyncAPI's own schema says of a document. @param {unknown} document @returns {string | undefined} */
function faultOfAsyncapi(document) {
  const { $schema, ...schema } = structuredClone(createRequire(import.meta.url)('@asyncapi/specs/schemas/3.0.0.json'));
  const ajv = new Ajv({ strict: false, validateFormats: false, validateSchema: false, meta: false, logger: false });
  return ajv.validate(schema, document) ? undefined : ajv.errorsText();
}

/** Every reference in a document. @param {any} value @returns {string[]} */
function references(value) {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, told]) => (key === '$ref' && typeof told === 'string' ? [told] : references(told)));
}

/** @param {any} document @param {string} pointer */
const at = (document, pointer) => pointer.slice(2).split('/').reduce((place, key) => place?.[key.replaceAll('~1', '/').replaceAll('~0', '~')], document);

/** @param {any} document @param {string} file references that lead nowhere */
const dangling = (document, file) => references(document).filter((reference) => (reference.startsWith('#') ? at(document, reference) === undefined : !existsSync(path.join(path.dirname(file), reference))));

test('openapi.json is valid OpenAPI 3.1, and a fault would be found', async () => {
  const fault = async (/** @type {any} */ document) => (await new Validator().validate(document)).errors;
  assert.equal(openapi().openapi, '3.1.0');
  assert.equal(await fault(openapi()), undefined);
  const broken = openapi();
  delete broken.paths['/lookup'].get.responses['200'].description;
  assert.ok(await fault(broken));
});

test('openapi.json has the shared schemas as they are: else run tests/tidy/protocol-bundle.mjs', () => {
  const text = read(OPENAPI);
  assert.equal(bundled(text), text);
  assert.deepEqual(dangling(openapi(), OPENAPI), []);
  assert.ok(references(openapi()).every((reference) => reference.startsWith('#')), 'it is served as one file');
  const older = openapi();
  older.components.schemas.Epoch.pattern = '^[0-9]+$';
  assert.notEqual(bundled(JSON.stringify(older)), JSON.stringify(older));
  assert.ok(Object.values(SHARED).every((file) => schemas().has(file)));
});

test('asyncapi.json is valid AsyncAPI 3.0, and a fault would be found', () => {
  assert.equal(asyncapi().asyncapi, '3.0.0');
  assert.equal(faultOfAsyncapi(asyncapi()), undefined);
  assert.deepEqual(dangling(asyncapi(), ASYNCAPI), []);
  const broken = asyncapi();
  broken.operations.hello.action = 'says';
  assert.ok(faultOfAsyncapi(broken));
  assert.deepEqual(dangling({ $ref: 'schemas/nothing.json' }, ASYNCAPI), ['schemas/nothing.json']);
});

test('asyncapi.json has every frame, and each is a part of an operation', () => {
  const { channels, operations, components, info } = asyncapi();
  const frames = [...schemas().keys()].filter((name) => /^(client|node)\//.test(name) && !name.endsWith('/frame'));
  const told = Object.fromEntries(Object.entries(components.messages).map(([name, { payload }]) => [name, payload.$ref]));
  assert.deepEqual(told, Object.fromEntries(frames.map((name) => [name.replace('/', '.'), `schemas/${name}.json`])));
  assert.deepEqual(Object.keys(channels.session.messages).sort(), Object.keys(told).sort());
  const inOperations = (/** @type {'receive' | 'send'} */ action) => Object.values(operations).flatMap((one) => [...(one.action === action ? one.messages : []), ...(one.action !== action ? (one.reply?.messages ?? []) : [])]);
  const names = (/** @type {{ $ref: string }[]} */ messages) => [...new Set(messages.map(({ $ref }) => $ref.split('/').at(-1)))].sort();
  assert.deepEqual(names(inOperations('receive')), Object.keys(told).filter((name) => name.startsWith('client.')).sort());
  assert.deepEqual(names(inOperations('send')), Object.keys(told).filter((name) => name.startsWith('node.')).sort());
  assert.equal(info.version, openapi().info.version);
});
