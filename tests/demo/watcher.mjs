/**
 * Watches one client from within its platform: each of its sockets from beginning to end, and each of its states, in the order in which
 * they come about. Runs in Node and in pages: nothing is imported.
 */

/**
 * @typedef {object} Sighting
 * @property {number} at_ms by the wall clock of the machine, with a fraction
 * @property {'opening' | 'welcome' | 'gone' | 'status' | 'moved'} kind `gone`: closed, or given up by the client, whichever is first
 * @property {number} [socket] counted from 1
 * @property {string} [node] that said welcome
 * @property {number} [code] of the close; none where the client gave it up
 * @property {string} [state]
 */

/** @param {(sighting: Sighting) => void} see */
export function watcherOf(see) {
  let count = 0;
  const tell = (/** @type {Sighting['kind']} */ kind, /** @type {object} */ more) => see({ at_ms: performance.timeOrigin + performance.now(), kind, ...more });

  /** To be called when it is constructed, before the client has it. @param {any} socket */
  function socket(socket) {
    const number = ++count;
    let here = true;
    const gone = (/** @type {number | undefined} */ code) => {
      if (here) tell('gone', { socket: number, code });
      here = false;
    };
    tell('opening', { socket: number });
    socket.addEventListener('message', (/** @type {any} */ { data }) => {
      if (here && data.startsWith('{"op":"welcome"')) tell('welcome', { socket: number, node: JSON.parse(data).node });
    });
    socket.addEventListener('close', (/** @type {any} */ { code }) => gone(code));
    for (const name of ['close', 'terminate']) {
      const end = socket[name];
      if (!end) continue;
      socket[name] = (/** @type {any[]} */ ...args) => {
        gone(undefined);
        return end.apply(socket, args);
      };
    }
  }

  /** To be called before it connects. @param {any} client */
  function client(client) {
    client.on('status', (/** @type {any} */ { state }) => tell('status', { state }));
    client.on('moved', () => tell('moved', {}));
  }

  return { socket, client };
}
