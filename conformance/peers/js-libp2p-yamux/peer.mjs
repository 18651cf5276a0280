// A yamuxspec peer around @chainsafe/libp2p-yamux: every mode of
// docs/yamuxspec.md that its API can do. It cannot drain a session. A stream
// that nobody listens to is not read; one that is listened to is, however
// slow the listener, unless it is paused: so echo pauses where it must wait.
//
//     peer.mjs --mode echo --address tcp://127.0.0.1:4000 [--role server]
import { yamux } from "@chainsafe/libp2p-yamux";
import { defaultLogger } from "@libp2p/logger";
import { AbstractMultiaddrConnection } from "@libp2p/utils";
import { run } from "../shared/node/peer.mjs";

// The library wants what came with Node 22; this is all that 20 lacks.
Promise.withResolvers ??= () => {
  const parts = {};
  parts.promise = new Promise((resolve, reject) => {
    Object.assign(parts, { resolve, reject });
  });
  return parts;
};

const CLOSE_MS = 500; // how long streams may take when a connection is closed
const log = defaultLogger().forComponent("peer");

// A TCP connection as libp2p's own TCP transport hands it to a muxer.
class Connection extends AbstractMultiaddrConnection {
  constructor(socket, direction) {
    super({ log, direction, inactivityTimeout: 2 ** 31 - 1 });
    this.socket = socket;
    socket.on("data", (bytes) => this.onData(bytes));
    socket.on("error", (error) => this.abort(error));
    socket.on("close", () => this.onTransportClosed());
    socket.on("drain", () => this.safeDispatchEvent("drain"));
  }

  sendData(data) {
    let canSendMore = true;
    for (const bytes of data) {
      canSendMore = this.socket.write(bytes);
    }
    return { sentBytes: data.byteLength, canSendMore };
  }

  async sendClose() {
    this.socket.destroySoon();
  }

  sendReset() {
    this.socket.resetAndDestroy();
  }

  sendPause() {
    this.socket.pause();
  }

  sendResume() {
    this.socket.resume();
  }
}

// The library's onDrain() waits once in a stream's life, and never again.
function drained(stream) {
  return new Promise((resolve, reject) => {
    stream.addEventListener("drain", resolve, { once: true });
    stream.addEventListener("close", () => reject(new Error("closed")),
      { once: true });
  });
}

function wrap(stream) {
  const input = stream[Symbol.asyncIterator]();
  return {
    async read() {
      const { value, done } = await input.next();
      return done ? null : value.subarray();
    },
    write: (bytes) => (stream.send(bytes) ? undefined : drained(stream)),
    pause: () => stream.readStatus === "readable" && stream.pause(),
    resume: () => stream.readStatus === "paused" && stream.resume(),
    finish: () => stream.close(),
    close: () => Promise.all([stream.close(), stream.closeRead()]),
    reset: () => stream.abort(new Error("reset")),
    isReset: (error) => error.name === "StreamResetError",
  };
}

run((socket, client, accept) => {
  const connection = new Connection(socket, client ? "outbound" : "inbound");
  const muxer = yamux()().createStreamMuxer(connection);
  if (accept) {
    muxer.addEventListener("stream", ({ detail }) => accept(wrap(detail)));
  }
  return {
    open: async () => wrap(await muxer.createStream()),
    async close() {
      try {
        const signal = AbortSignal.timeout(CLOSE_MS);
        await muxer.close({ signal });
        await connection.close({ signal });
      } catch (error) {
        connection.abort(error);
      }
    },
  };
});
