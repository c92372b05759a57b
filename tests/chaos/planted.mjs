/** Faults between a client and its judge, on demand: a scene in which one is planted has to fail. */
import { Line } from '../harness/receiver.mjs';

const EVERY = 200;

/** @typedef {'lose' | 'repeat' | 'swap' | 'misdeliver'} Plant */

/** Every 200th durable message that any client gets meets the fault. @param {Plant | undefined} fault @returns {() => void} its end */
export function plant(fault) {
  if (!fault) return () => {};
  const given = Line.prototype.message;
  let count = 0;
  /** @type {{ line: Line, frame: any } | undefined} the last message of somebody, or one that is held back */
  let other;
  Line.prototype.message = function (frame) {
    const durable = frame.offset !== undefined;
    const struck = durable && ++count % EVERY === 0;
    if (fault === 'swap' && other?.line === this && other.frame.topic === frame.topic) {
      given.call(this, frame);
      given.call(this, other.frame);
      other = undefined;
    } else if (fault === 'swap' && struck && !other) {
      other = { line: this, frame };
    } else if (!struck || fault === 'swap') {
      given.call(this, frame);
      if (fault === 'misdeliver' && durable && frame.topic.startsWith('u:')) other = { line: this, frame };
    } else if (fault === 'repeat') {
      given.call(this, frame);
      given.call(this, frame);
    } else if (fault === 'misdeliver') {
      given.call(this, frame);
      if (other && other.line !== this) given.call(this, other.frame);
    }
  };
  return () => (Line.prototype.message = given);
}
