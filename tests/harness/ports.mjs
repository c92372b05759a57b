/**
 * Free ports for the processes that cannot be told to pick one themselves (redis-server), or that must come back where
 * they were. Taken from below the range of outgoing connections, so that no client's socket sits on one.
 */
import { randomInt } from 'node:crypto';
import net from 'node:net';

const FIRST = 10_240;
const LAST = 32_000;
const TRIES = 100;

/** @returns {Promise<number>} a port that was free on 127.0.0.1 a moment ago */
export async function freePort() {
  for (let i = 0; i < TRIES; i++) {
    const port = randomInt(FIRST, LAST);
    if (await isFree(port)) return port;
  }
  throw new Error(`no free port among ${TRIES} tried between ${FIRST} and ${LAST}`);
}

/** Whether something accepts connections there. @param {number} port @returns {Promise<boolean>} */
export function isOpen(port, host = '127.0.0.1') {
  return new Promise((resolve) => {
    const socket = net.connect(port, host);
    socket.once('connect', () => (socket.destroy(), resolve(true)));
    socket.once('error', () => resolve(false));
  });
}

/** @param {number} port @returns {Promise<boolean>} */
function isFree(port) {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
