"""The function of module.yaml on Python's own HTTP server, and nothing else. It says where it listens as unip dev does."""

import http.server
import json

import hello


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        call = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        outputs = [{"name": k, "data": v} for k, v in hello.greet(call["inputs"]).items()]
        answer = json.dumps({"outputs": outputs}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(json.dumps({"kind": "serving", "url": "http://127.0.0.1:%d" % server.server_port}), flush=True)
try:
    server.serve_forever()
except KeyboardInterrupt:
    pass
