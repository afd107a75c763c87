"""An S3 server: moto's, which holds its objects in memory.

``python -m benchmarks.service.moto_server`` prints its port. It ends with its standard input, so with whoever started
it. moto looks whether an object exists and writes it in two steps, so it answers one request at a time.
"""

from __future__ import annotations

import sys
import threading

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server


def main() -> None:
    server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=False)
    threading.Thread(target=_end_with_input, args=(server,), daemon=True).start()
    print(server.server_port, flush=True)
    server.serve_forever()


def _end_with_input(server: BaseWSGIServer) -> None:
    sys.stdin.read()
    server.shutdown()


if __name__ == "__main__":
    main()
