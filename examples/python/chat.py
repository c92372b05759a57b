"""A chat in a terminal, on ringdial.py.

    python chat.py http://127.0.0.1:7000/lookup alice bob       # to a user
    python chat.py http://127.0.0.1:7000/lookup alice g:lobby   # in a group

Each line of input is sent. Output: `TOPIC #OFFSET SENDER: TEXT` for a message, `sent #OFFSET` once one's own is stored. What
happens to the connection is told on stderr. The application's token, if the service wants one, is in RINGDIAL_TOKEN.
"""

import argparse
import asyncio
import os
import sys

from ringdial import Client, Event, Gap, Message, Presence, RingdialError, Status


def tell(event: Event) -> None:
    match event:
        case Message(topic, sender, data, _, _, offset):
            text = data["text"] if isinstance(data, dict) and "text" in data else data
            print(f"{topic} #{offset if offset is not None else '-'} {sender}: {text}", flush=True)
        case Gap(topic, after, before, reason):
            print(f"{topic}: messages {after + 1} to {before - 1} are missing ({reason})", flush=True)
        case Presence(group, count, users, joined, left):
            changes = [*(f"+{user}" for user in joined), *(f"-{user}" for user in left)]
            print(f"{group}: {count} here: {' '.join(users or changes)}", file=sys.stderr, flush=True)
        case Status(state, detail):
            print(f"{state}: {detail}", file=sys.stderr, flush=True)


async def lines() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


async def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("lookup")
    options.add_argument("me")
    options.add_argument("to", help="a user, or g: and a group")
    args = options.parse_args()
    group = args.to.removeprefix("g:") if args.to.startswith("g:") else None
    async with Client(args.lookup, tell, user=args.me, token=os.environ.get("RINGDIAL_TOKEN"), since={"offset": 0}) as client:
        if group:
            await client.join(group, since={"offset": 0}, presence=True)
        async for line in await lines():
            text = line.decode().rstrip("\n")
            try:
                ack = await client.send({"group": group} if group else {"user": args.to}, {"text": text})
                print(f"sent #{ack['offset']}", flush=True)
            except (RingdialError, TimeoutError) as error:
                print(f"not sent: {error!r}: {text}", flush=True)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
