// One room: what was said before, what comes, and a line to write.
import { useEffect, useRef, useState, type FormEvent } from "react";
import type { Message } from "ringdial";
import { useEvent, useGroup } from "ringdial/react";

interface Said {
  text: string;
}

/** A line of one's own is shown at once, and is `pending` until the node has stored it; `failed` if it has not. */
interface Line {
  key: string;
  from: string;
  text: string;
  time: number;
  state?: "pending" | "failed";
}

export function Room({ name, me }: { name: string; me: string }) {
  // All that the log holds, then what comes: so there is nothing to fetch, and no seam between old and new.
  const room = useGroup<Said>(name, SINCE_THE_BEGINNING);
  const [lines, setLines] = useState<Line[]>([]);
  const [notice, setNotice] = useState("");
  const [text, setText] = useState("");
  const end = useRef<HTMLLIElement>(null);

  useEvent(
    "message",
    ({ from, data, time, epoch, offset }: Message<Said>) => {
      const key = `${epoch} ${offset}`; // if the log was lost, offsets begin anew in another epoch
      // The log's order counts: what is still on its way stays below.
      setLines((all) => [...all.filter((line) => !line.state && line.key !== key), { key, from, text: data.text, time }, ...all.filter((line) => line.state)]);
    },
    room,
  );
  useEvent("gap", () => setNotice("Older messages are no longer kept."), room);
  useEffect(() => {
    void end.current?.scrollIntoView({ block: "nearest" });
  }, [lines.length]);

  const send = async (event: FormEvent) => {
    event.preventDefault();
    if (!room || !text.trim()) return;
    const key = crypto.randomUUID();
    setText("");
    setLines((all) => [...all, { key, from: me, text, time: Date.now(), state: "pending" }]);
    try {
      await room.send({ text }, { key });
      setLines((all) => all.filter((line) => line.key !== key)); // it comes as a message, like everybody's
    } catch {
      setLines((all) => all.map((line) => (line.key === key ? { ...line, state: "failed" } : line)));
    }
  };

  return (
    <main aria-label={`Room ${name}`}>
      <h2># {name}</h2>
      {notice && <p className="notice">{notice}</p>}
      <ol className="lines" role="log" aria-label="Messages">
        {lines.map((line) => (
          <li key={line.key} className={line.from === me ? "mine" : "theirs"} data-state={line.state}>
            <span className="from">{line.from}</span>
            <span className="text">{line.text}</span>
            <time dateTime={new Date(line.time).toISOString()}>{line.state ? STATES[line.state] : clock.format(line.time)}</time>
          </li>
        ))}
        <li ref={end} aria-hidden="true" />
      </ol>
      <form onSubmit={send}>
        <label htmlFor="text" className="hidden">
          Message to {name}
        </label>
        <input id="text" value={text} onChange={(event) => setText(event.target.value)} placeholder={`Message to ${name}`} autoComplete="off" />
        <button disabled={!text.trim()}>Send</button>
      </form>
    </main>
  );
}

const SINCE_THE_BEGINNING = { since: { offset: 0 } } as const;
const STATES = { pending: "sending", failed: "not sent" };
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
