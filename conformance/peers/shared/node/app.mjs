// The modes and the commands.
import { setTimeout as sleep } from "node:timers/promises";

const PERIOD = 251;
const PIECE = Uint8Array.from({ length: PERIOD * 256 }, (_, i) => i % PERIOD);

// What was seen of each labelled stream: label -> [bytes, end].
const notes = new Map();

function note(label, bytes, end) {
  if (label !== "-") {
    notes.set(label, [bytes, end]);
  }
}

// Serves one stream of the other side; session() is its session.
export async function serve(stream, mode, session) {
  try {
    if (mode === "app" || mode === "opener") {
      const words = await firstLine(stream);
      await (commands[words[0]] ?? unsupported)(stream, words, session());
    } else {
      await behaviours[mode](stream);
    }
  } catch {
    stream.reset?.(); // its reader or writer failed: nothing more to do
  }
}

// Takes the first line; what came with it is read again.
async function firstLine(stream) {
  let bytes = Buffer.alloc(0);
  while (!bytes.includes(10)) {
    const more = await stream.read();
    if (more === null) {
      throw new Error("no command");
    }
    bytes = Buffer.concat([bytes, more]);
  }
  const end = bytes.indexOf(10);
  const read = stream.read.bind(stream);
  let rest = bytes.subarray(end + 1);
  stream.read = async () => {
    const first = rest;
    rest = Buffer.alloc(0);
    return first.length ? first : read();
  };
  return bytes.toString("latin1", 0, end).split(" ");
}

const behaviours = {
  echo: (stream) => echo(stream, () => {}),
  async sink(stream) {
    await count(stream, () => {});
    await stream.finish();
  },
  async source(stream) {
    await Promise.all([count(stream, () => {}), pattern(stream, Infinity)]);
  },
  async hold(stream) {
    stream.pause?.();
  },
};

async function echo(stream, add) {
  for (let bytes; (bytes = await stream.read()) !== null; ) {
    const room = stream.write(bytes);
    add(bytes.length);
    if (room) {
      stream.pause?.();
      await room;
      stream.resume?.();
    }
  }
  await stream.finish();
}

async function count(stream, add) {
  for (let bytes; (bytes = await stream.read()) !== null; ) {
    add(bytes.length);
  }
}

// Byte i is i mod 251.
async function pattern(stream, bytes) {
  for (let left = bytes; left > 0; left -= PIECE.length) {
    await stream.write(left < PIECE.length ? PIECE.subarray(0, left) : PIECE);
  }
}

// Reads to the end, notes how that came, finishes.
async function watch(stream, label, wait) {
  let bytes = 0;
  note(label, 0, "open");
  if (wait) {
    stream.pause?.();
    await sleep(wait);
    stream.resume?.();
  }
  await noted(stream, label, () => bytes, count(stream, (more) => {
    bytes += more;
  }));
  await stream.finish();
}

// Notes how this work came to its end.
async function noted(stream, label, bytes, work) {
  try {
    await work;
    note(label, bytes(), "eof");
  } catch (error) {
    note(label, bytes(), stream.isReset(error) ? "reset" : "error");
    throw error;
  }
}

async function answer(stream, text) {
  await stream.write(Buffer.from(text));
  await stream.finish();
}

const unsupported = (stream) => answer(stream, "unsupported\n");

const commands = {
  ...behaviours,
  open,
  watch: (stream, [, label, ms]) => watch(stream, label, Number(ms)),
  async report(stream, [, label]) {
    const [bytes, end] = notes.get(label) ?? [0, "unknown"];
    await answer(stream, `${bytes} ${end}\n`);
  },
  async write(stream, [, bytes]) {
    await pattern(stream, Number(bytes));
    await stream.finish();
    await count(stream, () => {});
  },
  async finish(stream, [, label]) {
    await stream.finish();
    await watch(stream, label ?? "-", 0);
  },
  close: (stream) => stream.close(),
  reset: (stream) => (stream.reset ? stream.reset() : unsupported(stream)),
  async shutdown(stream, [, bytes], session) {
    if (bytes) {
      pattern(stream, Number(bytes)).catch(() => {});
      await sleep(200);
    } else {
      await stream.finish();
      await count(stream, () => {});
    }
    await session.close();
  },
};

async function open(stream, [, number, bytes, then, label], session) {
  if (then === "reset" && !stream.reset) {
    return unsupported(stream);
  }
  for (let i = 0; i < Number(number); i++) {
    try {
      const name = i === 0 ? label : "-";
      const opened = await session.open();
      note(name, 0, "open");
      serveOpened(opened, Number(bytes), then, name).catch(() => {});
    } catch (error) {
      return answer(stream, `failed ${error.message}\n`);
    }
  }
  await stream.write(Buffer.from(`opened ${number}\n`));
  await count(stream, () => {});
  await stream.finish();
}

async function serveOpened(stream, bytes, then, label) {
  let copied = 0;
  await noted(stream, label, () => 0, pattern(stream, bytes));
  if (then === "reset") {
    stream.reset();
  } else if (then === "watch") {
    await watch(stream, label, 0);
  } else {
    note(label, 0, "open");
    await noted(stream, label, () => copied, echo(stream, (more) => {
      copied += more;
    }));
  }
}
