/** WebSockets, with the differences between platforms taken out. */
import type { SocketLike, WebSocketConstructor } from "../types.js";
import { readFrame } from "../wire.js";
import type { Actions, Dispatch } from "./runner.js";

/** How long a closing handshake may take: the end of `close()` waits for it. */
const CLOSE_MS = 700;

export interface Sockets extends Pick<Actions, "open" | "write" | "drop"> {
  /** Resolves when the dropped sockets are closed. */
  closed(): Promise<void>;
}

/** A `down` may come twice, and after others nothing: the machine knows which sockets it has. */
export function socketActions(dispatch: Dispatch, webSocket: () => WebSocketConstructor | undefined): Sockets {
  const sockets = new Map<number, SocketLike>();
  let closed = Promise.resolve();
  return {
    open(id, { url, protocols }) {
      const down = ({ code = 1006, reason = "" }: { code?: number; reason?: string }): void => dispatch("down", id, code, reason);
      try {
        const socket = new (webSocket() as WebSocketConstructor)(url, [...protocols]);
        sockets.set(id, socket);
        socket.onopen = () => {
          // After an opening, `close` follows an error everywhere, with its code.
          socket.onerror = ignore;
          dispatch("opened", id);
        };
        socket.onmessage = ({ data }: { data: unknown }) => {
          const frame = readFrame(data);
          if (frame) dispatch("heard", id, frame);
        };
        socket.onclose = down;
        // Node 22 fires no `close` after a failed opening.
        socket.onerror = () => down({});
      } catch (error) {
        down({ code: 0, reason: String(error) });
      }
    },
    write(id, text) {
      try {
        sockets.get(id)?.send(text);
      } catch {
        // A closing socket: its close event is on the way, and what was not acknowledged is repeated.
      }
    },
    drop(id) {
      const socket = sockets.get(id);
      sockets.delete(id);
      if (!socket) return;
      const end = shut(socket);
      closed = closed.then(() => end);
    },
    closed: () => closed,
  };
}

const ignore = (): void => {};

/** No event follows. To a silent peer Node fires no `close` for 50 s: an own timer, and `terminate` where there is one. */
function shut(socket: SocketLike & { terminate?: () => void; readonly readyState?: number }): Promise<void> {
  // Package `ws` throws errors that nobody listens for, so a listener stays.
  socket.onopen = socket.onmessage = socket.onerror = ignore;
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      socket.terminate?.();
      resolve();
    };
    const timer = setTimeout(done, CLOSE_MS);
    socket.onclose = done;
    socket.close(1000);
    if (socket.readyState === 3) done();
  });
}
