"""The two HTML pages: a WebSocket console for the echo server and an event list for the clock."""

from __future__ import annotations

from html import escape

_WEBSOCKET_PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>Echo server: WebSocket</title>
<body data-path="{path}">
<form><input autofocus placeholder="message" aria-label="message"> <button>Send</button></form>
<pre></pre>
<script>
const out = document.querySelector("pre"), input = document.querySelector("input");
const show = (mark, text) => {{ out.textContent += mark + " " + text + "\\n"; }};
const scheme = location.protocol === "https:" ? "wss://" : "ws://";
const socket = new WebSocket(scheme + location.host + document.body.dataset.path);
socket.onopen = () => show("*", "open");
socket.onmessage = (message) => show("<", message.data);
socket.onclose = (close) => show("*", "closed " + close.code);
document.querySelector("form").onsubmit = (submit) => {{
  submit.preventDefault();
  socket.send(input.value);
  show(">", input.value);
  input.value = "";
}};
</script>
"""

EVENTS_PAGE = b"""<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>Server-sent events</title>
<h1>Messages</h1>
<ol></ol>
<script>
new EventSource("/events/").onmessage = (event) => {
  const item = document.createElement("li");
  item.textContent = event.data;
  document.querySelector("ol").append(item);
};
</script>
"""


def websocket_page(path: str) -> bytes:
    """Give the page whose script connects to that path on its own host."""
    return _WEBSOCKET_PAGE.format(path=escape(path)).encode()
