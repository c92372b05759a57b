/** The judge of a crowd's return after a SIGKILL, and its histograms. Pure. */
import { shown } from '../harness/shown.mjs';

/**
 * @typedef {object} Returned what a client did
 * @property {string} user
 * @property {number} spread_ms over how long its node told it to spread its return
 * @property {number} lost_ms when it lost its connection, by the wall clock; 0 if it never did
 * @property {number} [chosen_ms] how long it decided to wait after that
 * @property {number} asked_ms when its first lookup began, by the wall clock
 * @property {number} back_ms when it was welcome again; 0 if never
 * @property {number} lookups that it took
 */

const PARTS = 10;
const LOOKUPS_MAX = 3;
/** Chance alone takes a part further from its share than this once in a million times. */
const DEVIATIONS = 6;
/** Timers and clocks each drop what is below a millisecond. */
const ROUNDING_MS = 2;
/**
 * How far the part of the crowd that has looked up may be, at any time, from the part of the window that is over. Of a thousand who come
 * by chance alone it is more than 0.08 once in a hundred thousand times; the rest is for a machine that is slow to let them set out. Who
 * all come at once are 1 apart, who come in half of the window 0.5.
 */
const APART_MAX = 0.25;
const BAR = 50;

/**
 * @param {Returned[]} all @param {number} clients that there were
 * @param {boolean} [arrivals] the times at which they set out are judged too, and not only those that they chose
 */
export function judgeReturns(all, clients, arrivals = false) {
  const back = all.filter(({ lost_ms, back_ms }) => lost_ms > 0 && back_ms > 0);
  const [needy, outside] = [all.filter(({ lookups }) => lookups > LOOKUPS_MAX), all.filter(({ chosen_ms = -1, spread_ms }) => !(chosen_ms >= 0 && chosen_ms < spread_ms))];
  // A client that hears late sets out late; none sets out before the time that it chose.
  const hasty = back.filter(({ lost_ms, asked_ms, chosen_ms = 0 }) => asked_ms - lost_ms < chosen_ms - ROUNDING_MS);
  const wrong = [
    ...(back.length < clients ? [`only ${back.length} of ${clients} clients are back`] : []),
    ...shown(`needed more than ${LOOKUPS_MAX} lookups`, needy.map(({ user, lookups }) => `${user}: ${lookups}`)),
    ...shown('chose a time outside of what their node told', outside.map(({ user, chosen_ms, spread_ms }) => `${user}: ${chosen_ms} of ${spread_ms} ms`)),
    ...shown('set out before the time that they chose', hasty.map(({ user, lost_ms, asked_ms, chosen_ms }) => `${user}: after ${asked_ms - lost_ms} of ${chosen_ms} ms`)),
    ...uneven(all.map(({ chosen_ms = NaN, spread_ms }) => chosen_ms / spread_ms)),
  ];
  const after = (/** @type {'asked_ms' | 'back_ms'} */ what) => back.map((one) => one[what] - one.lost_ms).sort((a, b) => a - b);
  const [asked, times] = [after('asked_ms'), after('back_ms')];
  const window_ms = Math.max(0, ...all.map(({ spread_ms }) => spread_ms));
  const distance = apart(asked.map((ms) => ms / window_ms));
  if (arrivals && !(distance <= APART_MAX)) wrong.push(`set out unevenly: at some time ${distance.toFixed(2)} of the crowd apart from an even return`);
  const most = Math.max(0, ...all.map(({ lookups }) => lookups));
  const lines = [
    `${back.length} of ${clients} clients are back; told to spread their return over ${window_ms} ms; ${all.reduce((sum, { lookups }) => sum + lookups, 0)} lookups, ${most} at most of one client`,
    ...told('how long they chose to wait', all.map(({ chosen_ms = 0 }) => chosen_ms).sort((a, b) => a - b), window_ms),
    ...told(`first lookup after the loss, at most ${distance.toFixed(2)} of them apart from even`, asked, window_ms),
    ...told('welcome after the loss', times, window_ms),
  ];
  return { wrong, lines, most };
}

/** Which tenths of the window hold too many, or too few. @param {number[]} fractions of the window */
export function uneven(fractions) {
  const counts = countsOf(fractions);
  const share = fractions.length / PARTS;
  const room = DEVIATIONS * Math.sqrt(share * (1 - 1 / PARTS));
  return counts.flatMap((count, i) => (Math.abs(count - share) > room ? [`unevenly spread: ${count} of ${fractions.length} in tenth ${i + 1} of the window, a fair share is ${Math.round(share)}`] : []));
}

/** How far the parts that have arrived are from the parts of the window that are over, at most. @param {number[]} fractions of the window, sorted */
export function apart(fractions) {
  const n = fractions.length;
  return Math.max(0, ...fractions.flatMap((at, i) => [i, i + 1].map((before) => Math.abs(before / n - Math.min(1, at)))));
}

/** @param {number[]} fractions */
function countsOf(fractions) {
  const counts = Array(PARTS).fill(0);
  for (const fraction of fractions) counts[Math.max(0, Math.min(PARTS - 1, Math.floor(fraction * PARTS)))]++;
  return counts;
}

/** A histogram by tenths of the window, or of as long as it took. @param {string} what @param {number[]} times sorted @param {number} window_ms */
function told(what, times, window_ms) {
  const span_ms = Math.max(window_ms, (times.at(-1) ?? 0) + 1);
  const counts = countsOf(times.map((ms) => ms / span_ms));
  const full = Math.max(1, ...counts);
  const at = (/** @type {number} */ q) => Math.round(times[Math.min(times.length - 1, Math.floor(times.length * q))] ?? 0);
  const rows = counts.map((count, i) => {
    const range = `${Math.round((span_ms * i) / PARTS)}-${Math.round((span_ms * (i + 1)) / PARTS)} ms`;
    return `  ${range.padStart(12)} ${String(count).padStart(5)} ${'#'.repeat(Math.round((count / full) * BAR))}`;
  });
  return [`${what}: p50 ${at(0.5)}, p99 ${at(0.99)}, all ${at(1)} ms`, ...rows];
}
