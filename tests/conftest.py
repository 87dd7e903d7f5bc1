"""What holds for every test, whatever the shell that they are started from."""

from __future__ import annotations

import signal

import structlog

if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # under nohup; every program started here would ignore it too
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in the background of a script
    signal.signal(signal.SIGINT, signal.default_int_handler)

# structlog's own default draws tracebacks with their variables, which may raise while it looks at them.
structlog.configure(processors=[structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)])
