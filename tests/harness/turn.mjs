/**
 * A message's turn among its sender's: messages are stored as they were sent, except for one that was refused for the time being. That
 * one may come later, until it was repeated. Or until its sender heard that it is stored: an earlier copy, which another connection had carried, was.
 */

export class Turn {
  /** It was refused, for one recipient at least, and not repeated since. */
  #open = false;
  /** When it was repeated last because it had been refused. */
  #until = 0;

  /** @param {number} sentAt */
  constructor(sentAt) {
    this.sentAt = sentAt;
  }

  refused() {
    this.#open = true;
  }

  /** @param {number} at */
  repeated(at) {
    this.#until = Math.max(this.#until, at);
    this.#open = false;
  }

  /** @param {number} at @param {boolean} whole for every recipient */
  acknowledged(at, whole) {
    if (!whole) this.#open = true;
    else if (this.#open) this.repeated(at);
  }

  /** Whether it may be stored behind one that was sent then. @param {number} before */
  mayFollow(before) {
    return this.#open || before <= Math.max(this.sentAt, this.#until);
  }

  toString() {
    return `sent at ${this.sentAt}${this.#until ? `, again at ${this.#until}` : ''}`;
  }
}
