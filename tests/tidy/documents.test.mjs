/** Links between the project's documents lead somewhere: to a file that is there, to a heading that is in it. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { REPOSITORY } from '../harness/binaries.mjs';
import { anchors, documents, links, text } from './documents.mjs';

const all = documents();

test('there are documents, and links in them', () => {
  assert.ok(all.length > 5, String(all.length));
  assert.ok(all.flatMap((document) => links(document.text)).length > 20);
});

test('links between documents lead somewhere', () => {
  const dead = all.flatMap(({ file, text }) => links(text).filter((link) => !leads(file, link)).map((link) => `${file}: ${link}`));
  assert.deepEqual(dead, []);
});

test('no document ends without its last line, or has a tab', () => {
  assert.deepEqual(all.filter(({ text }) => !text.endsWith('\n') || text.includes('\t')).map(({ file }) => file), []);
});

test('what a link and an anchor is', () => {
  assert.deepEqual(links('[a](b.md#c "d") `[no](no)` ![e](f.png)\n\n```sh\n[no](no)\n```\n[g]: h.md'), ['b.md#c', 'f.png', 'h.md']);
  assert.deepEqual([...anchors('# A *b* c-d: e`f`\n## A b c-d ef\n<a id="own"></a>\n```\n# no\n```\n')], ['own', 'a-b-c-d-ef', 'a-b-c-d-ef-1']);
});

/** @param {string} file @param {string} link */
function leads(file, link) {
  // Other people's pages are not ours to test.
  if (/^[a-z]+:/.test(link)) return true;
  const [target, anchor] = link.split('#');
  const found = target === '' ? file : path.join(path.dirname(file), target);
  if (!existsSync(path.join(REPOSITORY, found))) return false;
  return anchor === undefined || anchors(text(found)).has(anchor);
}
