/**
 * Holds every frame that any session of the harness gets against the strict reading of docs/schemas/, whatever the test is
 * about. Any test can be run under it, and fails if a node says what no document describes:
 *
 *     node --import ./tests/transcripts/judge.mjs --test tests/scenarios/groups.test.mjs
 */
import { Session } from '../harness/session.mjs';
import { faultOfNode } from './schemas.mjs';

const FAULTS_MAX = 10;
let frames = 0;
/** @type {Set<string>} */
const faults = new Set();

Session.judge = (frame) => {
  frames++;
  const fault = faults.size < FAULTS_MAX ? faultOfNode(frame) : undefined;
  if (fault) faults.add(fault);
};

process.on('exit', () => {
  if (faults.size > 0) process.exitCode = 1;
  if (frames > 0) console.error([`${frames} frames were held against docs/schemas/; ${faults.size || 'none'} not as they say`, ...faults].join('\n'));
});
