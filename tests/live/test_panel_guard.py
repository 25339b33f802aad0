"""Nobody but its user's own pages gets anything from a panel: other machines, other sites, those without the token."""

from __future__ import annotations

import asyncio
import functools
import http.client
import json
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("aiohttp", reason="needs pip install 'rtdenoise[panel]'")
import aiohttp

from tests.live.panels import Panel, browser, opened, panel, until


@pytest.fixture(scope="module")
def lonely(tmp_path_factory) -> Panel:
    """A panel without a session."""
    folder = tmp_path_factory.mktemp("panel")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        with panel(folder / "live.sock", "--recordings", folder / "takes") as found:
            yield found


def request(panel: Panel, path: str, method: str = "GET", **headers: str) -> SimpleNamespace:
    connection = http.client.HTTPConnection("127.0.0.1", panel.port, timeout=10)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.putrequest(method, path, skip_host=True)
    for name, value in ({"Host": f"127.0.0.1:{panel.port}"} | given).items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    found = SimpleNamespace(code=answer.status, headers=answer.headers, body=answer.read())
    connection.close()
    return found


async def talk(panel: Panel, *messages: object, origin: str | None = "", token: object = "", last: str = "answer"):
    """What the panel says to a WebSocket up to the answer to the last message; its close code, if it hangs up."""
    headers = {} if origin is None else {"Origin": origin or f"http://127.0.0.1:{panel.port}"}
    url = f"ws://127.0.0.1:{panel.port}/socket"
    heard = []
    async with aiohttp.ClientSession() as client, client.ws_connect(url, headers=headers) as ws:
        await ws.send_str(json.dumps({"token": panel.token if token == "" else token}))
        for message in messages:
            await ws.send_str(message if isinstance(message, str) else json.dumps(message))
        left = len(messages)
        while True:
            found = await ws.receive(timeout=15)
            if found.type is not aiohttp.WSMsgType.TEXT:
                return heard, ws.close_code
            heard.append(json.loads(found.data))
            left -= heard[-1]["event"] == last
            if left <= 0 and (messages or heard[-1]["event"] == "panel"):
                return heard, None


def test_only_this_machine_is_listened_to(lonely):
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    places = [line[1] for line in lines if line[3] == "0A" and line[1].endswith(f":{lonely.port:04X}")]
    assert places == [f"0100007F:{lonely.port:04X}"]


def test_the_page_is_whole_and_takes_nothing_from_elsewhere(lonely):
    for path, kind in (("/", "text/html"), ("/panel.js", "text/javascript"), ("/panel.css", "text/css")):
        found = request(lonely, path)
        assert (found.code, found.headers["Content-Type"].partition(";")[0]) == (200, kind)
        assert found.headers["Content-Security-Policy"].startswith("default-src 'self';")
        assert found.headers["X-Content-Type-Options"] == "nosniff" and found.headers["Cache-Control"] == "no-store"
        assert "Set-Cookie" not in found.headers and "Access-Control-Allow-Origin" not in found.headers
        assert lonely.token.encode() not in found.body
        assert (
            b"http://" not in found.body.replace(b"http://www.w3.org/2000/svg", b"") and b"https://" not in found.body
        )


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"Host": "evil.example"}, "wrong host"),
        ({"Host": "evil.example:{port}"}, "wrong host"),
        ({"Host": "127.0.0.1"}, "wrong host"),
        ({"Host": "127.0.0.1:1"}, "wrong host"),
        ({"Origin": "http://evil.example"}, "foreign origin"),
        ({"Origin": "null"}, "foreign origin"),
        ({"Origin": "http://127.0.0.1:1"}, "foreign origin"),
        ({"Origin": "https://127.0.0.1:{port}"}, "foreign origin"),
        ({"Origin": "http://localhost:{port}"}, "foreign origin"),
    ],
)
def test_other_hosts_and_origins_are_refused_on_every_path(lonely, headers, why):
    given = {name: value.format(port=lonely.port) for name, value in headers.items()}
    for path in ("/", "/panel.js", "/socket", "/take/a/before", "/nothing"):
        found = request(lonely, path, **given)
        assert (found.code, found.body.decode()) == (403, f"{why}\n"), path


def test_another_site_can_link_to_the_page_but_embed_nothing_of_it(lonely):
    assert request(lonely, "/", Sec_Fetch_Site="cross-site").code == 200
    assert request(lonely, "/panel.js", Sec_Fetch_Site="cross-site").code == 403
    assert request(lonely, "/panel.js", Sec_Fetch_Site="same-site").code == 403
    assert request(lonely, "/", Host=f"localhost:{lonely.port}").code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/../pyproject.toml",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/panel.py",
        "/page/index.html",
        "//etc/passwd",
        "/take/..%2f..%2f..%2fetc%2fpasswd/before",
        "/take/%2fetc%2fpasswd/before",
        "/take/x/%2e%2e",
    ],
)
def test_no_path_of_a_request_is_opened(lonely, path):
    found = request(lonely, path, Authorization=f"Bearer {lonely.token}")
    assert found.code == 404 and b"root:" not in found.body


def test_nothing_but_reading_is_answered(lonely):
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        assert request(lonely, "/", method).code == 405
    for authorization in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": lonely.token}):
        assert request(lonely, "/take/x/before", **authorization).code == 401


def test_without_the_token_nothing_is_said(lonely):
    for token in ("wrong", None, 7, ["a"], lonely.token + "x", "\u00e9", ""):
        heard, code = asyncio.run(talk(lonely, {"do": "start", "id": 1}, token=token if token != "" else " "))
        assert (heard, code) == ([], 4401), token
    heard, code = asyncio.run(talk(lonely))
    assert [message["event"] for message in heard] == ["welcome", "panel"] and heard[1]["phase"] == "none"
    for origin in (None, "http://evil.example", "null"):
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            asyncio.run(talk(lonely, origin=origin))


def test_a_socket_that_says_nothing_is_closed(lonely):
    async def silent():
        headers, url = {"Origin": f"http://127.0.0.1:{lonely.port}"}, f"ws://127.0.0.1:{lonely.port}/socket"
        async with aiohttp.ClientSession() as client, client.ws_connect(url, headers=headers) as ws:
            assert (await ws.receive(timeout=15)).type is not aiohttp.WSMsgType.TEXT
            return ws.close_code

    assert asyncio.run(silent()) == 4401


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ("no JSON", "a page asks for"),
        ("[" * 5000, "a page asks for"),
        ([1], "a page asks for"),
        ({"do": "open"}, "a page asks for"),
        ({"do": "stop"}, "no session runs"),
        ({"do": "bypass", "on": True}, "no session runs"),
        ({"do": "keep", "on": 1}, "on=1 must be true or false"),
        ({"do": "choose"}, "choices are an object"),
        ({"do": "choose", "choices": {"record": "/tmp"}}, "nothing is called 'record'"),
        ({"do": "choose", "choices": {"input": "/etc/passwd"}}, "must be mic, or mic:NAME"),
        ({"do": "choose", "choices": {"input": "talk.wav"}}, "must be mic, or mic:NAME"),
        ({"do": "choose", "choices": {"output": "-"}}, "must be speaker or virtual-mic, or speaker:NAME"),
        ({"do": "choose", "choices": {"output": "virtual-mic:../x"}}, "must be speaker or virtual-mic"),
        ({"do": "choose", "choices": {"input": "mic:\n--record=/tmp"}}, "must be the name of a device"),
        ({"do": "choose", "choices": {"model": "../../weights"}}, "must be one of: can-"),
        ({"do": "choose", "choices": {"preset": "/etc"}}, "must be one of: quality"),
        ({"do": "choose", "choices": {"method": ["WF"]}}, "must be one of: SS"),
        ({"do": "choose", "choices": {"mix": 2}}, "mix=2 must be from 0 to 1"),
        ({"do": "choose", "choices": {"attenuation_limit_db": True}}, "must be from 0 to 100"),
    ],
)
def test_what_is_wrong_is_one_line_and_the_panel_goes_on(lonely, asked, why):
    heard, _ = asyncio.run(talk(lonely, asked, {"do": "devices", "id": 2}))
    wrong, right = (message for message in heard if message["event"] == "answer")
    assert not wrong["ok"] and why in wrong["error"] and "\n" not in wrong["error"]
    assert right == {"event": "answer", "id": 2, "ok": True}


FOREIGN = """<!doctype html><title>foreign</title><body><script>
const panel = "http://127.0.0.1:%(port)d", told = {};
(async () => {
  told.read = await fetch(panel + "/").then(() => "read", () => "refused");
  told.post = await fetch(panel + "/", {method: "POST", body: "x"}).then(() => "read", () => "refused");
  told.socket = await new Promise((settle) => {
    const ws = new WebSocket("ws://127.0.0.1:%(port)d/socket");
    ws.onopen = () => settle("open"); ws.onerror = () => settle("refused");
  });
  told.script = await new Promise((settle) => {
    const script = document.createElement("script");
    script.onload = () => settle("loaded"); script.onerror = () => settle("refused");
    script.src = panel + "/panel.js"; document.body.append(script);
  });
  told.frame = await new Promise((settle) => {
    const frame = document.createElement("iframe");
    frame.onload = () => { try { settle(frame.contentDocument ? "open" : "refused"); } catch { settle("refused"); } };
    frame.src = panel + "/"; document.body.append(frame);
  });
  document.body.dataset.told = JSON.stringify(told);
})();
</script>"""


class _Site(BaseHTTPRequestHandler):
    def __init__(self, content: str, *arguments: object) -> None:
        self.content = content
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(self.content.encode())

    def log_message(self, *_: object) -> None:
        pass


def test_a_foreign_page_in_a_real_browser_gets_nowhere(lonely):
    site = HTTPServer(("127.0.0.1", 0), functools.partial(_Site, FOREIGN % {"port": lonely.port}))
    threading.Thread(target=site.serve_forever, daemon=True).start()
    try:
        with browser() as chromium, opened(chromium, f"http://127.0.0.1:{site.server_port}/") as page:
            told = json.loads(until(lambda: page.evaluate("document.body.dataset.told"), 30.0))
    finally:
        site.shutdown()
        site.server_close()
    assert told == dict.fromkeys(("read", "post", "socket", "script", "frame"), "refused")


def test_a_page_without_the_token_says_what_to_do_and_one_with_it_hides_it(lonely):
    with browser() as chromium:
        for address in (lonely.address.partition("#")[0], lonely.address + "x"):
            with opened(chromium, address) as page:
                until(
                    lambda page=page: "Open the address that rtdenoise panel has printed" in page.inner_text("#alerts")
                )
                assert page.inner_text("#state") == "Locked" and page.locator("#keep").is_disabled()
        with opened(chromium, lonely.address) as page:
            until(lambda: page.inner_text("#state") == "Off")
            assert "#" not in page.url and lonely.token not in page.content()
            page.reload()
            until(lambda: page.inner_text("#state") == "Off")
            assert page.context.cookies() == [] and page.problems == []


def test_an_invitation_works_once():
    from rtdenoise.panel.guard import Guard

    guard = Guard(8030)
    invitation = guard.invitation().partition("#")[2]
    lasting = guard.address.partition("#")[2]
    assert guard.admits(invitation) == lasting and guard.admits(invitation) is None
    assert guard.admits(lasting) == lasting == guard.admits(lasting)
    assert not guard.knows(f"Bearer {invitation}") and guard.knows(f"Bearer {lasting}")


def test_a_port_that_is_taken_is_one_line():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "rtdenoise", "panel", "--no-browser", "--port", str(port)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert f"--port {port}: Address already in use; give another, or 0 for any that is free" in done.stderr
