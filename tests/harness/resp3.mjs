/** Redis's answers as a stream: whole values, so that one kind of them, the messages of channels, can be left out. */

export class Resp3Sieve {
  #rest = Buffer.alloc(0);

  /** @param {() => void} onMessage told of each message that was left out */
  constructor(onMessage) {
    this.onMessage = onMessage;
  }

  /** What of the stream may pass by now. @param {Buffer} chunk @param {boolean} mute whether messages are left out */
  take(chunk, mute) {
    const bytes = this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : chunk;
    /** @type {Buffer[]} */
    const passed = [];
    let at = 0;
    for (let end; (end = valueEnd(bytes, at)) > 0; at = end) {
      if (mute && isMessage(bytes, at)) this.onMessage();
      else passed.push(bytes.subarray(at, end));
    }
    this.#rest = bytes.subarray(at);
    return Buffer.concat(passed);
  }
}

/** @param {Buffer} bytes @param {number} at */
const isMessage = (bytes, at) => bytes[at] === 0x3e && bytes.subarray(at, at + 24).includes('\r\nmessage\r\n');

/** Where the value that begins at `at` ends; 0: it is not complete. @param {Buffer} bytes @param {number} at @returns {number} */
function valueEnd(bytes, at) {
  const line = bytes.indexOf('\r\n', at);
  if (line < 0) return 0;
  const kind = String.fromCharCode(bytes[at]);
  const count = Number(bytes.toString('latin1', at + 1, line));
  if ('$=!'.includes(kind)) return count < 0 ? line + 2 : line + 4 + count <= bytes.length ? line + 4 + count : 0;
  if (!'*~>%|'.includes(kind)) return line + 2;
  let end = line + 2;
  for (let left = kind === '%' || kind === '|' ? 2 * count : count; left > 0; left--) {
    end = valueEnd(bytes, end);
    if (end === 0) return 0;
  }
  return end;
}
