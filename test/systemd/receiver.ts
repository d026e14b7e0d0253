import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Test } from "tap";

/**
 * systemd's side of sd_notify(3): a Unix datagram socket that prints each message as a line of
 * JSON. Closing the descriptor that comes with BARRIER=1 is the answer to it.
 */
const RECEIVER = `
import json, os, socket, sys
name = sys.argv[1]
sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sock.bind("\\0" + name[1:] if name.startswith("@") else name)
print(json.dumps("listening"), flush=True)
while True:
    message, descriptors, _, _ = socket.recv_fds(sock, 65536, 4)
    for descriptor in descriptors:
        os.close(descriptor)
    print(json.dumps(message.decode()), flush=True)
`;

export type Receiver = {
  /** The next message, as its assignments. */
  readonly next: () => Promise<readonly string[]>;
  /** Reads on until a message has this assignment; resolves to that message. */
  readonly until: (assignment: string) => Promise<readonly string[]>;
};

/** `name` is a path, or `@` and an abstract name. Ends with the test. */
export async function receiveAt(t: Test, name: string): Promise<Receiver> {
  const child = spawn("python3", ["-c", RECEIVER, name], { stdio: ["ignore", "pipe", "inherit"] });
  t.teardown(async () => {
    if (child.exitCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const line = async (): Promise<string> => {
    const read = await lines.next();
    if (read.done === true) throw new Error("the receiver has ended");
    return JSON.parse(read.value) as string;
  };
  const next = async (): Promise<readonly string[]> => {
    for (;;) {
      const assignments = (await line()).split("\n").filter((text) => text !== "");
      if (assignments[0] !== "BARRIER=1") return assignments;
    }
  };
  const until = async (assignment: string): Promise<readonly string[]> => {
    for (;;) {
      const assignments = await next();
      if (assignments.includes(assignment)) return assignments;
    }
  };
  await line();
  return { next, until };
}
