"""Drives headless Chromium by the WebDriver protocol, with nothing but the standard library."""

import contextlib
import json
import subprocess
import time
import urllib.error
import urllib.request

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Page:
    def __init__(self, address):
        self.address = address

    def call(self, method, path, body=None):
        request = urllib.request.Request(
            self.address + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def open(self, url):
        self.call("POST", "/url", {"url": url})

    def find(self, selector, seconds=20):
        """The element of a CSS selector, as soon as it is there; none when it never is."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                value = self.call(
                    "POST", "/element", {"using": "css selector", "value": selector}
                )
                return value[ELEMENT]
            except urllib.error.HTTPError as error:
                if json.load(error)["value"]["error"] != "no such element":
                    raise
                time.sleep(0.05)
        raise RuntimeError(f"{selector} is not on the page: {self.text()}")

    def type(self, selector, text):
        element = self.find(selector)
        self.call("POST", f"/element/{element}/value", {"text": text})

    def click(self, selector):
        self.call("POST", f"/element/{self.find(selector)}/click", {})

    def text(self):
        return self.call("GET", f"/element/{self.find('body', 1)}/text")

    def log(self):
        """What the browser complained about: broken policies show up here."""
        entries = self.call("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries]


@contextlib.contextmanager
def chromium(driver, profile):
    process = subprocess.Popen(
        [driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        for line in process.stdout:
            if "was started successfully on port" in line:
                port = int(line.rsplit("port", 1)[1].strip().rstrip("."))
                break
        root = Page(f"http://127.0.0.1:{port}")
        arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            f"--user-data-dir={profile}",
        ]
        session = root.call(
            "POST",
            "/session",
            {
                "capabilities": {
                    "alwaysMatch": {
                        "acceptInsecureCerts": True,
                        "goog:chromeOptions": {"args": arguments},
                        "goog:loggingPrefs": {"browser": "ALL"},
                    }
                }
            },
        )
        page = Page(f"{root.address}/session/{session['sessionId']}")
        try:
            yield page
        finally:
            page.call("DELETE", "")
    finally:
        process.terminate()
        process.wait(timeout=20)
