"""A Chromium without a window, asked over a socket by its DevTools protocol, for tests that look at our pages."""

import base64
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from sv.parent import dies_with_parent

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
ANSWER_S = 60.0
FLAGS = (
    *("--headless=new", "--remote-debugging-pipe", "--host-resolver-rules=MAP * ~NOTFOUND", "--hide-scrollbars"),
    # The pages are our own; a container has no sandbox for root, and little shared memory.
    *("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-extensions"),
)


def program():
    """$SV_BROWSER, or the first Chromium on PATH; None without one."""
    return next(filter(None, map(shutil.which, filter(None, (os.environ.get("SV_BROWSER"), *PROGRAMS)))), None)


def why_not():
    """Why no page can be looked at here; None if one can."""
    said = f"no {', '.join(PROGRAMS)} on PATH (Debian: package chromium), and SV_BROWSER names none"
    return None if program() else said


class Browser:
    """A running browser with one page, whose window has no borders.

    `heard` are the page's errors and warnings, `asked` the addresses that it asked for, since it was opened.

    >>> with Browser() as browser:
    ...     browser.resize(420)
    ...     browser.open(Path("report.html"))
    ...     browser.run("document.title")
    """

    def __enter__(self):
        self.heard, self.asked = [], []
        self._last, self._begun, self._session = 0, b"", {}
        self._folder = tempfile.mkdtemp(prefix="browser-")
        self._pipe, theirs = socket.socketpair()
        self._pipe.settimeout(ANSWER_S)
        # The browser listens at its descriptor 3 and answers at 4.
        script = f'exec "$@" 3<&{theirs.fileno()} 4>&{theirs.fileno()} 2>"$HOME/said"'
        self._process = subprocess.Popen(
            ["bash", "-c", script, "browser", program(), *FLAGS, f"--user-data-dir={self._folder}", "about:blank"],
            env=os.environ | {"HOME": self._folder},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
            preexec_fn=dies_with_parent(signal.SIGKILL),
        )
        theirs.close()
        try:
            pages = [each for each in self("Target.getTargets")["targetInfos"] if each["type"] == "page"]
            target = pages[0]["targetId"] if pages else self("Target.createTarget", url="about:blank")["targetId"]
            self._session = {"sessionId": self("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}
            for domain in ("Page", "Runtime", "Log", "Network"):
                self(f"{domain}.enable")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError, RuntimeError):
            self._session = {}
            self("Browser.close")
        self._pipe.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __call__(self, method, **params):
        """Call a method of the protocol; its result. RuntimeError with what the browser says if it fails."""
        self._last += 1
        request = {"id": self._last, "method": method, "params": params, **self._session}
        self._pipe.sendall(json.dumps(request).encode() + b"\0")
        while (message := self._next()).get("id") != self._last:
            self._note(message)
        if "error" in message:
            raise RuntimeError(f"{method}: {message['error']}")
        return message["result"]

    def open(self, path):
        """Show a file, and wait until all of it is there."""
        self("Page.navigate", url="about:blank")
        self.heard.clear()
        self.asked.clear()
        if said := self("Page.navigate", url=path.absolute().as_uri()).get("errorText"):
            raise RuntimeError(f"{path}: {said}")
        self.run("new Promise(done => document.readyState === 'complete' ? done() : addEventListener('load', done))")

    def resize(self, width, height=900):
        """Give the window so many CSS pixels."""
        self("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def prefer(self, scheme="light", media="screen"):
        """Show the page as to one who asked for a light or dark one, on a screen or in print."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self("Emulation.setEmulatedMedia", media=media, features=features)

    def run(self, script):
        """Evaluate JavaScript in the page; its value, as JSON has it."""
        answer = self("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"].get("description", answer))
        return answer["result"].get("value")

    def click(self, element):
        """Press and release the mouse in the middle of an element, given in JavaScript; what is there must be it."""
        x, y, is_there = self.run(f"""(function (element) {{
            element.scrollIntoView({{ block: 'center' }});
            const box = element.getBoundingClientRect();
            const x = box.x + box.width / 2, y = box.y + box.height / 2;
            return [x, y, element.contains(document.elementFromPoint(x, y))];
        }})({element})""")
        if not is_there:
            raise RuntimeError(f"{element}: something else is at its place, {x:g}, {y:g}")
        for kind in ("mousePressed", "mouseReleased"):
            self("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def pdf(self):
        """The page as it is printed on A4, in bytes of PDF."""
        return base64.b64decode(self("Page.printToPDF", paperWidth=8.27, paperHeight=11.69)["data"])

    def screenshot(self, path):
        """Write the whole page as PNG."""
        data = self("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))

    def _next(self):
        """The next message; RuntimeError if the browser ended."""
        while b"\0" not in self._begun:
            if not (more := self._pipe.recv(1 << 16)):
                said = Path(self._folder, "said").read_text(errors="replace")
                raise RuntimeError(f"{program()} ended:\n{said[-2000:]}")
            self._begun += more
        message, _, self._begun = self._begun.partition(b"\0")
        return json.loads(message)

    def _note(self, message):
        params = message.get("params", {})
        match message.get("method"):
            case "Runtime.exceptionThrown":
                self.heard.append(params["exceptionDetails"]["exception"]["description"])
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning", "assert"):
                self.heard.append(" ".join(str(each.get("value")) for each in params["args"]))
            case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                self.heard.append(params["entry"]["text"])
            case "Network.requestWillBeSent":
                self.asked.append(params["request"]["url"])
