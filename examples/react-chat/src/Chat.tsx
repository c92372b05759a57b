// Rooms at the side, the conversation of one of them beside it, and who is there.
import { useState } from "react";
import { usePresence, useStatus } from "ringdial/react";
import { Room } from "./Room";

const ROOMS = ["lobby", "kitchen", "garden"];

export function Chat({ me, leave }: { me: string; leave: () => void }) {
  const [room, setRoom] = useState(ROOMS[0]!);
  return (
    <div className="chat">
      <nav aria-label="Rooms">
        <h1>Ringdial chat</h1>
        <ul>
          {ROOMS.map((name) => (
            <li key={name}>
              <button aria-current={name === room ? "page" : undefined} onClick={() => setRoom(name)}>
                # {name}
              </button>
            </li>
          ))}
        </ul>
        <Status />
        <button className="leave" onClick={leave}>
          Sign out {me}
        </button>
      </nav>
      <Room key={room} name={room} me={me} />
      <People room={room} me={me} />
    </div>
  );
}

/** Where the connection stands; moves to another node are seen only in the node's name. */
function Status() {
  const status = useStatus();
  const node = status.state === "connected" ? status.node : undefined;
  return (
    <p className="status" role="status" data-state={status.state} data-node={node}>
      {status.state}
      {node && ` to ${node}`}
    </p>
  );
}

function People({ room, me }: { room: string; me: string }) {
  const { count, users } = usePresence(room);
  return (
    <aside aria-label={`People in ${room}`}>
      <h2>
        {count} {count === 1 ? "person" : "people"} here
      </h2>
      <ul>
        {users?.map((user) => (
          <li key={user}>
            {user}
            {user === me && " (you)"}
          </li>
        ))}
      </ul>
    </aside>
  );
}
