// The page of the embedded default computes homes by itself; here it is held to the published vectors.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { readRing, sipHash13, slotOf } from '../../standalone/src/page/ring.mjs'

const vectors = JSON.parse(readFileSync(new URL('ring.json', import.meta.url), 'utf8'))
const key = Uint8Array.from(vectors.ring_key.match(/../g), (digits) => parseInt(digits, 16))
const hex = (value) => value.toString(16).padStart(16, '0')

test('the hash, for every length of input', () => {
  const hashes = vectors.siphash_lengths.map((_, length) => hex(sipHash13(key, Uint8Array.from({ length }, (_, i) => i))))
  assert.deepEqual(hashes, vectors.siphash_lengths)
})

test('slots of keys', () => {
  for (const { key: text, slot } of vectors.points) assert.equal(slotOf(key, text), slot, text)
})

test('a home is the holder of the slot, wherever it lies in the run', () => {
  const slot = slotOf(key, 'u:alice')
  const nodes = [{ index: 3, id: 'before' }, { index: 0, id: 'here' }, { index: 7, id: 'after' }]
  const ring = readRing({ version: 1, ring_key: vectors.ring_key, nodes, holders: [[3, slot], [0, 1], [7, 65535 - slot]] })
  assert.deepEqual(ring.home('alice'), { node: nodes[1], place: slot / 65536 })
  assert.equal(ring.holder((slot - 1) / 65536)?.id, 'before')
  assert.equal(ring.holder((slot + 1) / 65536)?.id, 'after')
})
