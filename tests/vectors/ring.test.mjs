// Recomputes ring.json in plain JavaScript: what anyone who reads GET /ring has to write, and proof that nobody needs
// our code for it. Imports nothing of the project. 64-bit values are pairs of 32-bit halves, [high, low].

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

const vectors = JSON.parse(readFileSync(new URL('ring.json', import.meta.url), 'utf8'))
const SLOTS = 65536
const NOBODY = 65535

// --- The hash: SipHash-1-3, 64-bit words as low and high half in a Uint32Array. ---

function add(v, a, b) {
  const low = v[a] + v[b]
  v[a + 1] += v[b + 1] + (low > 0xffffffff ? 1 : 0)
  v[a] = low
}

function rotateAndXor(v, a, by, b) {
  const [low, high] = by === 32 ? [v[a + 1], v[a]] : [v[a], v[a + 1]]
  const n = by % 32
  v[a] = (n ? (low << n) | (high >>> (32 - n)) : low) ^ v[b]
  v[a + 1] = (n ? (high << n) | (low >>> (32 - n)) : high) ^ v[b + 1]
}

function round(v) {
  add(v, 0, 2), rotateAndXor(v, 2, 13, 0), ([v[0], v[1]] = [v[1], v[0]])
  add(v, 4, 6), rotateAndXor(v, 6, 16, 4)
  add(v, 0, 6), rotateAndXor(v, 6, 21, 0)
  add(v, 4, 2), rotateAndXor(v, 2, 17, 4), ([v[4], v[5]] = [v[5], v[4]])
}

function siphash13(key, bytes) {
  const padded = new Uint8Array((bytes.length >> 3) * 8 + 8)
  padded.set(bytes)
  padded[padded.length - 1] = bytes.length
  const word = (of, at) => (of[at] | (of[at + 1] << 8) | (of[at + 2] << 16) | (of[at + 3] << 24)) >>> 0
  const k = [0, 4, 8, 12].map((at) => word(key, at))
  const v = Uint32Array.of(
    k[0] ^ 0x70736575, k[1] ^ 0x736f6d65, k[2] ^ 0x6e646f6d, k[3] ^ 0x646f7261,
    k[0] ^ 0x6e657261, k[1] ^ 0x6c796765, k[2] ^ 0x79746573, k[3] ^ 0x74656462,
  )
  for (let at = 0; at < padded.length; at += 8) {
    const [low, high] = [word(padded, at), word(padded, at + 4)]
    v[6] ^= low, (v[7] ^= high)
    round(v)
    v[0] ^= low, (v[1] ^= high)
  }
  v[4] ^= 0xff
  round(v), round(v), round(v)
  return [(v[1] ^ v[3] ^ v[5] ^ v[7]) >>> 0, (v[0] ^ v[2] ^ v[4] ^ v[6]) >>> 0]
}

const hex = (halves) => halves.map((half) => (half >>> 0).toString(16).padStart(8, '0')).join('')
const utf8 = (text) => new TextEncoder().encode(text)
const fromHex = (text) => Uint8Array.from(text.match(/../g) ?? [], (digits) => parseInt(digits, 16))
const key = fromHex(vectors.ring_key)
const point = (text) => siphash13(key, utf8(text))
const slotOf = (text) => point(text)[0] >>> 16

// --- mix64: splitmix64's finaliser on x + 0x9e3779b97f4a7c15, from and to a pair of halves. ---

function multiply(x, bh, bl) {
  const [ah, al, a0, a1, b0, b1] = [x[0], x[1], x[1] & 0xffff, x[1] >>> 16, bl & 0xffff, bl >>> 16]
  const middle = a0 * b1 + a1 * b0 + ((a0 * b0) >>> 16)
  x[0] = a1 * b1 + Math.floor(middle / 65536) + (Math.imul(ah, bl) >>> 0) + (Math.imul(al, bh) >>> 0)
  x[1] = (middle << 16) | ((a0 * b0) & 0xffff)
}

function shiftAndXor(x, n) {
  x[1] ^= (x[1] >>> n) | (x[0] << (32 - n))
  x[0] ^= x[0] >>> n
}

function mix64(high, low, x = new Uint32Array(2)) {
  const sum = low + 0x7f4a7c15
  x[0] = high + 0x9e3779b9 + (sum > 0xffffffff ? 1 : 0)
  x[1] = sum
  shiftAndXor(x, 30), multiply(x, 0xbf58476d, 0x1ce4e5b9)
  shiftAndXor(x, 27), multiply(x, 0x94d049bb, 0x133111eb)
  shiftAndXor(x, 31)
  return x
}

// --- The ring. ---

const genesis = (policy = 'balanced') => ({ policy, nodes: [], holders: new Uint16Array(SLOTS).fill(NOBODY) })
const counts = (ring) => ring.nodes.map((node) => node.slots)
const live = (ring) => ring.nodes.filter((node) => node.live)
const active = (ring) => live(ring).filter((node) => node.active)

function signature({ holders }) {
  const bytes = new Uint8Array(SLOTS * 2)
  holders.forEach((index, slot) => ((bytes[slot * 2] = index & 255), (bytes[slot * 2 + 1] = index >> 8)))
  return hex(siphash13(key, bytes))
}

/** The node first in order of count/weight (`direction` 1: the smallest), of equal ones the smaller id. */
function pick(nodes, direction) {
  let best
  for (const node of nodes) {
    const difference = best && (node.slots * best.weight - best.slots * node.weight) * direction
    if (!best || difference < 0 || (difference === 0 && node.id < best.id)) best = node
  }
  return best
}

function move(ring, slot, to) {
  const from = ring.nodes[ring.holders[slot]]
  if (from) from.slots -= 1
  if (to) to.slots += 1
  ring.holders[slot] = to ? to.index : NOBODY
}

/** The `count` of `slots` that `node` claims first. 53 bits tell their ranks apart, or else this throws. */
function firstClaimed(slots, node, count) {
  const [high, low] = point(node.id)
  const x = new Uint32Array(2)
  const rank = (slot) => mix64(high, (low ^ slot) >>> 0, x)[0] * 2 ** 21 + (x[1] >>> 11)
  const ranks = new Float64Array(slots.map(rank))
  const sorted = ranks.slice().sort()
  assert.notEqual(sorted[count - 1], sorted[count])
  return slots.filter((_, at) => ranks[at] <= sorted[count - 1])
}

/** How many slots each donor gives when `count` are taken. */
function donations(donors, count) {
  const left = donors.map(({ id, weight, slots }) => ({ id, weight, slots }))
  for (let taken = 0; taken < count; taken += 1) pick(left, -1).slots -= 1
  return left.map((rest, at) => donors[at].slots - rest.slots)
}

function claim(ring, node) {
  const total = active(ring).reduce((sum, other) => sum + BigInt(other.weight), 0n)
  const quota = Number((BigInt(SLOTS) * BigInt(node.weight)) / total)
  const slotsOf = ring.nodes.map(() => [])
  ring.holders.forEach((index, slot) => (index === NOBODY ? move(ring, slot, node) : slotsOf[index].push(slot)))
  const donors = live(ring).filter((other) => other !== node)
  donations(donors, quota - node.slots).forEach((count, at) => {
    if (!count) return
    for (const slot of firstClaimed(slotsOf[donors[at].index], node, count)) move(ring, slot, node)
  })
  if (node.slots > quota) {
    const kept = new Set(firstClaimed(slotsOf[node.index], node, quota))
    const takers = active(ring).filter((other) => other !== node)
    for (const slot of slotsOf[node.index]) if (!kept.has(slot)) move(ring, slot, pick(takers, 1))
  }
}

/** The classic ring: each slot is held by the owner of the first virtual node clockwise of its start. */
function placeHashed(ring, takers) {
  const tokens = takers.flatMap((node) => virtualNodes(node).map(([high, low]) => ({ high, low, node })))
  tokens.sort((a, b) => a.high - b.high || a.low - b.low || (a.node.id < b.node.id ? -1 : 1))
  let next = 0
  for (let slot = 0; slot < SLOTS; slot += 1) {
    while (next < tokens.length && tokens[next].high < slot * 65536) next += 1
    move(ring, slot, tokens.length ? tokens[next % tokens.length].node : undefined)
  }
}

function virtualNodes({ id, weight }) {
  const count = Math.max(1, Math.floor((256 * weight) / 100))
  const number = (i) => [i & 255, (i >> 8) & 255, (i >> 16) & 255, i >>> 24]
  return Array.from({ length: count }, (_, i) => siphash13(key, Uint8Array.of(...utf8(id), 0, ...number(i))))
}

function handOver(ring, givers) {
  const takers = active(ring).length ? active(ring) : live(ring)
  if (ring.policy === 'hashed') return placeHashed(ring, takers)
  ring.holders.forEach((index, slot) => {
    if (givers.includes(ring.nodes[index])) move(ring, slot, pick(takers, 1))
  })
}

const operations = {
  join(ring, id, weight) {
    let node = ring.nodes.find((other) => other.id === id)
    if (!node) ring.nodes.push((node = { id, index: ring.nodes.length, slots: 0 }))
    if (node.live && node.active && node.weight === weight) return
    Object.assign(node, { weight, live: true, active: true })
    if (ring.policy === 'hashed') placeHashed(ring, active(ring))
    else claim(ring, node)
  },
  leave(ring, ...ids) {
    const leaving = live(ring).filter((node) => ids.includes(node.id))
    for (const node of leaving) node.live = false
    handOver(ring, leaving)
  },
  drain(ring, id) {
    const node = live(ring).find((other) => other.id === id)
    node.active = false
    if (active(ring).length) handOver(ring, [node])
  },
}

function nextHome(ring, slot, avoid) {
  for (let step = 0; step < SLOTS; step += 1) {
    const { id } = ring.nodes[ring.holders[(slot + step) % SLOTS]]
    if (!avoid.includes(id)) return id
  }
}

/** Applies the steps of a vector, and compares what each of them says. */
function replay(ring, steps) {
  for (const { op, counts: slots, signature: signed, homes = {} } of steps) {
    operations[op[0]](ring, ...op.slice(1))
    if (slots) assert.deepEqual(counts(ring), slots, `counts after ${op}`)
    if (signed) assert.equal(signature(ring), signed, `signature after ${op}`)
    for (const [text, id] of Object.entries(homes)) {
      assert.equal(ring.nodes[ring.holders[slotOf(text)]].id, id, `home of ${text} after ${op}`)
    }
  }
  return ring
}

test('points and slots of keys', () => {
  for (const { key: text, point: expected, slot } of vectors.points) {
    assert.equal(hex(point(text)), expected, text)
    assert.equal(slotOf(text), slot, text)
  }
})

test('SipHash-1-3 of 0 to 63 bytes', () => {
  const bytes = Uint8Array.from({ length: 64 }, (_, i) => i)
  assert.deepEqual(vectors.siphash_lengths, Array.from(bytes, (length) => hex(siphash13(key, bytes.subarray(0, length)))))
})

test('mix64', () => {
  const halves = (text) => [parseInt(text.slice(0, 8), 16), parseInt(text.slice(8), 16)]
  for (const [input, output] of vectors.mix64) assert.equal(hex([...mix64(...halves(input))]), output)
})

test('balanced placement, step by step', () => {
  const ring = replay(genesis(), vectors.balanced.steps)
  for (const { slot, avoid, home } of vectors.balanced.next_homes) assert.equal(nextHome(ring, slot, avoid), home)
})

test('balanced placement, weights at their extremes', () => {
  for (const { steps } of vectors.balanced_weights) replay(genesis(), steps)
})

test('balanced placement, a trace of joins, leaves, drains and new weights', () => {
  replay(genesis(), vectors.balanced_trace.steps)
})

test('balanced placement of 1,000 nodes', () => {
  const { nodes, weights, steps, signature: expected } = vectors.balanced_1000
  const ring = genesis()
  for (let i = 0; i < nodes; i += 1) operations.join(ring, `node-${i}`, weights[i % weights.length])
  assert.equal(signature(ring), expected)
  replay(ring, steps)
})

test('hashed placement', () => {
  for (const { id, number, point: expected } of vectors.hashed.virtual_nodes) {
    assert.equal(hex(virtualNodes({ id, weight: 400 })[number]), expected)
  }
  replay(genesis('hashed'), vectors.hashed.steps)
})

test('hashed placement, shares of the whole ring before it is cut into slots', () => {
  const { weights, shares } = vectors.hashed.arcs
  const fraction = ([high, low]) => high / 2 ** 32 + low / 2 ** 64
  const tokens = Object.entries(weights)
    .flatMap(([id, weight]) => virtualNodes({ id, weight }).map((token) => ({ id, at: fraction(token) })))
    .sort((a, b) => a.at - b.at)
  const computed = Object.fromEntries(Object.keys(weights).map((id) => [id, 0]))
  tokens.forEach(({ id, at }, i) => (computed[id] += i ? at - tokens[i - 1].at : at + 1 - tokens.at(-1).at))
  for (const [id, share] of Object.entries(shares)) assert.equal(computed[id].toFixed(6), share.toFixed(6))
})
