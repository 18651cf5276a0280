// A yamuxspec peer (docs/yamuxspec.md) but for the yamux library: a program
// hands run() what begins a session of its library.
//
//     begin(socket, client, accept) -> session
//     accept(stream): for each stream of the other side; null: never accepts
//     session: { open(): stream or its promise, close() }
//     stream: {
//       read(): promise of bytes; null at the end of input, rejects otherwise
//       write(bytes): undefined, or a promise of room
//       pause(), resume(): where reading must be stopped by word
//       finish(): ends our direction; close(): both; reset(): or absent
//       isReset(error): the other side has reset it
//     }
import { createServer } from "node:net";
import { parseArgs } from "node:util";
import { serve } from "./app.mjs";

export function run(begin) {
  const text = (value) => ({ type: "string", default: value });
  const { values } = parseArgs({
    options: { mode: text("echo"), role: text("server"), address: text("") },
  });
  const place = /^tcp:\/\/(.*):(\d+)$/.exec(values.address);
  if (!place) {
    console.error(`--address ${values.address}: tcp://HOST:PORT`);
    process.exit(2);
  }
  createServer({ noDelay: true }, (socket) => {
    let session = null;
    const accept = (stream) => serve(stream, values.mode, () => session);
    session = begin(socket, values.role === "client",
      values.mode === "noaccept" ? null : accept);
  }).listen(Number(place[2]), place[1]);
}
