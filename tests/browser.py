"""A headless Chromium, driven by its own protocol over one socket: what a page does, not what it says.

Debian's package `chromium` will do; nothing else is installed. Pages are opened from disk, as readers do.
"""

import asyncio
import json
import shutil
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from tornado.websocket import websocket_connect

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OPTIONS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
]
OPTIONS += [
    "--no-first-run",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
]
PATIENCE = 180  # seconds for one step, on a machine that has much else to do


@contextmanager
def started(folder: Path):
    """A Tab of a Chromium that keeps what it stores in `folder`; both are gone afterwards."""
    command = [PROGRAM, *OPTIONS, f"--user-data-dir={folder}", "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port = _port(process, folder / "DevToolsActivePort")
        with urlopen(f"http://127.0.0.1:{port}/json", timeout=PATIENCE) as answer:
            address = next(
                target["webSocketDebuggerUrl"] for target in json.load(answer) if target["type"] == "page"
            )
        with asyncio.Runner() as runner:
            socket = runner.run(_connected(address))
            try:
                yield Tab(runner, socket)
            finally:
                runner.run(_closed(socket))
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _port(process, file):
    """The port that Chromium chose, which it writes down when it listens."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        if file.is_file() and (lines := file.read_text().split()):
            return lines[0]
        time.sleep(0.05)
    raise RuntimeError(f"{PROGRAM} did not start: {process.poll()}")


# Two frames, so that a page's listeners of its size and scheme have run, and the end of what is animated.
SETTLED = """(async () => {
  const frame = () => new Promise((go) => { requestAnimationFrame(go); setTimeout(go, 500); });
  await frame();
  await frame();
  const ends = document.getAnimations().filter((one) => one.effect.getComputedTiming().endTime < Infinity);
  await Promise.allSettled(ends.map((one) => one.finished));
})()"""


async def _connected(address):
    return await websocket_connect(address, max_message_size=2**28)


async def _closed(socket):
    socket.close()
    while await asyncio.wait_for(socket.read_message(), PATIENCE) is not None:
        pass  # what was still on the way


class Tab:
    """One page after another, on a screen of any width, light or dark."""

    def __init__(self, runner, socket):
        self.runner, self.socket, self.count, self.errors, self.loaded = runner, socket, 0, [], False
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        """The answer to one command."""
        self.count += 1
        self.runner.run(self._say({"id": self.count, "method": method, "params": parameters}))
        answer = self._heard(lambda message: message.get("id") == self.count)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def _heard(self, wanted):
        """The next message that is wanted; errors of the page on the way are kept."""
        while True:
            message = json.loads(self.runner.run(self._hear()))
            self.errors += _errors(message)
            self.loaded |= message.get("method") == "Page.loadEventFired"
            if wanted(message):
                return message

    async def _say(self, message):
        await self.socket.write_message(json.dumps(message))

    async def _hear(self):
        text = await asyncio.wait_for(self.socket.read_message(), PATIENCE)
        if text is None:
            raise RuntimeError("Chromium has ended")
        return text

    def open(self, page: Path, fragment: str = ""):
        """Load a page from disk; its errors are in `errors`."""
        self.errors, self.loaded = [], False
        self.call("Page.navigate", url=page.resolve().as_uri() + fragment)
        if not self.loaded:
            self._heard(lambda _: self.loaded)

    def screen(self, width, scheme="light", height=900):
        """Show the page on a screen this wide, in a light or dark scheme."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        self.call("Emulation.setEmulatedMedia", features=features)

    def run(self, script):
        """The value of an expression, or of what it promises."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(_said(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def settle(self):
        """Wait until the page has drawn what was asked for: its own scripts have heard, nothing fades in."""
        self.run(SETTLED)

    def press(self, key, text=""):
        """Press and let go of a key."""
        codes = {
            "Tab": 9,
            "Enter": 13,
            " ": 32,
            "ArrowLeft": 37,
            "ArrowUp": 38,
            "ArrowRight": 39,
            "ArrowDown": 40,
        }
        about = {"key": key, "windowsVirtualKeyCode": codes[key]} | ({"text": text} if text else {})
        self.call("Input.dispatchKeyEvent", type="keyDown", **about)
        self.call("Input.dispatchKeyEvent", type="keyUp", **about)


def _errors(message):
    """What went wrong in a page, as a message says: exceptions, errors of the console, missing files."""
    about = message.get("params", {})
    if message.get("method") == "Runtime.exceptionThrown":
        return [_said(about["exceptionDetails"])]
    if message.get("method") == "Runtime.consoleAPICalled" and about["type"] == "error":
        return [" ".join(str(held.get("value", held.get("description"))) for held in about["args"])]
    if message.get("method") == "Log.entryAdded" and about["entry"]["level"] == "error":
        return [f"{about['entry']['text']} {about['entry'].get('url', '')}"]
    return []


def _said(details):
    return details.get("exception", {}).get("description") or details["text"]
