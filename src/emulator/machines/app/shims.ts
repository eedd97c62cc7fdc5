import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Keeps apps on loopback: a server that asks for every address gets 127.0.0.1, and the platform's well-known port
 * (8080 Node, 8000 Python) becomes the instance's own. Loaded by `NODE_OPTIONS --require` and as `sitecustomize`.
 * Not covered: programs in neither language, and Python servers that bind in C (uvloop) without an address in the start command.
 */
const NODE_SHIM = `"use strict";
const net = require("node:net");
const { listen } = net.Server.prototype;
const port = Number(process.env.PORT);
const ours = (wanted) => (Number(wanted) === 8080 ? port : wanted);
const isAny = (host) => !host || host === "0.0.0.0" || host === "::" || host === "[::]";
net.Server.prototype.listen = function (...args) {
  const [first, second] = args;
  if (first !== null && typeof first === "object" && first.port !== undefined) {
    args[0] = { ...first, port: ours(first.port), host: isAny(first.host) ? "127.0.0.1" : first.host };
  } else if (typeof first === "number" || (typeof first === "string" && /^[0-9]+$/.test(first))) {
    args[0] = ours(first);
    if (typeof second !== "string") args.splice(1, 0, "127.0.0.1");
    else if (isAny(second)) args[1] = "127.0.0.1";
  } else if (first === undefined || first === null || typeof first === "function") {
    args = [{ port: 0, host: "127.0.0.1" }, ...args.filter((arg) => typeof arg === "function")];
  }
  return listen.apply(this, args);
};
`;

const PYTHON_SHIM = `import os, socket, sys


def _keep_loopback():
    bind = socket.socket.bind
    port = int(os.environ.get("PORT", "0") or 0)

    def bind_loopback(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and isinstance(address, tuple) and len(address) >= 2:
            v4 = self.family == socket.AF_INET
            host = ("127.0.0.1" if v4 else "::1") if address[0] in ("", "0.0.0.0", "::") else address[0]
            stream = self.type & 0xF == socket.SOCK_STREAM
            address = (host, port if stream and address[1] == 8000 and port else address[1]) + tuple(address[2:])
        return bind(self, address)

    socket.socket.bind = bind_loopback


_keep_loopback()

# The next sitecustomize on the path is the app's own.
_here = os.path.dirname(os.path.abspath(__file__))
for _folder in sys.path:
    _file = os.path.join(_folder, "sitecustomize.py")
    if os.path.abspath(_folder) != _here and os.path.isfile(_file):
        with open(_file, "rb") as _source:
            exec(compile(_source.read(), _file, "exec"))
        break
`;

/** The folders of the shims. */
export interface Shims {
  readonly node: string;
  readonly python: string;
}

/** Writes both shims below a folder and answers where they are. */
export function writeShims(folder: string): Shims {
  const shims = { node: join(folder, "node"), python: join(folder, "python") };
  mkdirSync(shims.node, { recursive: true });
  mkdirSync(shims.python, { recursive: true });
  writeFileSync(join(shims.node, "loopback.cjs"), NODE_SHIM);
  writeFileSync(join(shims.python, "sitecustomize.py"), PYTHON_SHIM);
  return shims;
}
