#!/usr/bin/env python3
"""deploy/container/zone against an API of one question: a machine's zone, by its label, with the pod's token; a machine
without the label has none; an API that refuses ends it, so that no node starts with a wrong zone.

  tests/kubernetes/zone.py

Needs curl and jq: says so and ends with 77."""
import http.server
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
MACHINES = {"in-a": {"topology.kubernetes.io/zone": "a"}, "in-none": {}}
TOKEN = "a-token"


class Api(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        folder, _, name = self.path.rpartition("/")
        allowed = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        known = folder == "/api/v1/nodes" and name in MACHINES
        self.send_response((200 if known else 404) if allowed else 403)
        self.end_headers()
        if allowed and known:
            self.wfile.write(json.dumps({"metadata": {"labels": MACHINES[name]}}).encode())

    def log_message(self, *_):
        pass


def asked(directory, port, machine, token):
    """Exit code, and what is in the file that the entry script reads."""
    (directory / "token").write_text(f"{token}\n", encoding="ascii")
    (directory / "zone").write_text("", encoding="ascii")
    done = subprocess.run([ROOT / "deploy/container/zone"], check=False, timeout=60, stderr=subprocess.DEVNULL,
                          env={"PATH": "/usr/bin:/bin", "NODE_NAME": machine, "EVGRID_RUN": str(directory),
                               "EVGRID_SERVICE_ACCOUNT": str(directory),
                               "EVGRID_KUBERNETES_API": f"http://127.0.0.1:{port}"})
    return done.returncode == 0, (directory / "zone").read_text(encoding="ascii")


def main():
    for tool in ("curl", "jq"):
        if shutil.which(tool) is None:
            print(f"skipped: needs {tool}", file=sys.stderr)
            sys.exit(77)
    api = http.server.HTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=api.serve_forever, daemon=True).start()
    wanted = {("in-a", TOKEN): (True, "a"), ("in-none", TOKEN): (True, ""),
              ("nobody", TOKEN): (False, ""), ("in-a", "another"): (False, "")}
    with tempfile.TemporaryDirectory() as directory:
        for question, answer in wanted.items():
            given = asked(pathlib.Path(directory), api.server_port, *question)
            if given != answer:
                sys.exit(f"failed: of {question} it makes {given}, not {answer}")
    print(f"{len(wanted)} machines and tokens, as they should be")


if __name__ == "__main__":
    main()
