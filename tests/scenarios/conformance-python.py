"""The application that `ringdial conformance` wants, around the Python client of examples/python: its path, the lookup's URL."""

import asyncio
import random
import sys

sys.path.insert(0, sys.argv[1])
from ringdial import Client, Gap, Message  # noqa: E402

random.seed(7)  # waits that are alike by chance shall fail no test
tokens = 0


async def token(_rejected: bool) -> str:
    global tokens
    tokens += 1
    return f"token {tokens}"


async def one(lookup: str) -> bool:
    """A client from its beginning to its end. Whether another one is to begin."""
    happened: asyncio.Queue[object] = asyncio.Queue()
    over: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    said: set[asyncio.Task[object]] = set()
    async with Client(lookup, happened.put_nowait, user="tester", token=token) as client:

        def say(data: dict[str, object]) -> None:
            said.add(task := asyncio.create_task(client.send({"user": "conformance"}, data)))
            task.add_done_callback(lambda task: task.cancelled() or task.exception())

        async def hear() -> None:
            while True:
                event = await happened.get()
                if isinstance(event, Gap):
                    say({"gap": event.topic})
                elif isinstance(event, Message) and event.data["do"] == "echo":
                    say({"echo": event.data["n"]})
                elif isinstance(event, Message) and event.data["do"] == "stop":
                    over.set_result(False)
                elif isinstance(event, Message) and event.data["do"] == "restart":
                    asyncio.get_running_loop().call_later(event.data["after_ms"] / 1000, over.set_result, True)

        hearing = asyncio.create_task(hear())
        again = await over
        hearing.cancel()
    return again


async def main() -> None:
    while await one(sys.argv[2]):
        pass
    await asyncio.sleep(30)  # killed before: it is watched whether it stays quiet


asyncio.run(main())
