// A yamuxspec peer around yamux-js: every mode of docs/yamuxspec.md that its
// API can do. It cannot reset a stream, drain a session, or finish one half
// only: close() sends FIN, and nothing can be read after it.
//
//     peer.mjs --mode echo --address tcp://127.0.0.1:4000 [--role server]
import { once } from "node:events";
import yamux from "yamux-js";
import { run } from "../shared/node/peer.mjs";

const quiet = { logger: () => {} };

function wrap(stream) {
  const input = stream.iterator({ destroyOnReturn: false });
  stream.on("error", () => {});
  return {
    async read() {
      const { value, done } = await input.next();
      return done ? null : value;
    },
    write: (bytes) => (stream.write(bytes) ? undefined : once(stream, "drain")),
    async finish() {
      await new Promise((done) => stream.write("", done)); // all is out
      stream.close();
    },
    close() {
      stream.close();
      stream.destroy();
    },
    isReset: (error) => /reset/i.test(error.message),
  };
}

run((socket, client, accept) => {
  const kind = client ? yamux.Client : yamux.Server;
  const session = client ? new kind(quiet) : new kind(null, quiet);
  if (accept) {
    session.onStream = (stream) => accept(wrap(stream)); // no word for a client
  }
  session.on("error", () => socket.destroy());
  socket.on("error", () => {});
  socket.on("close", () => session.close());
  socket.pipe(session).pipe(socket);
  return {
    open: () => wrap(session.open()),
    close: () => session.close(),
  };
});
