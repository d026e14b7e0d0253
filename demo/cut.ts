import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { listen } from "./upstream.ts";

/** The line between the gateway and upstream: whatever comes to its port goes on, until it is cut. */
export type UpstreamLine = {
  readonly port: number;
  /** Ends every connection; new ones end at once. */
  readonly cut: () => void;
  readonly mend: () => void;
  readonly stop: () => Promise<void>;
};

export async function openUpstreamLine(upstreamPort: number): Promise<UpstreamLine> {
  const sockets = new Set<Socket>();
  let isCut = false;
  const keep = (socket: Socket, other: () => Socket): void => {
    sockets.add(socket);
    // Its "close" follows, and tells the other side.
    socket.on("error", () => undefined);
    socket.once("close", () => {
      sockets.delete(socket);
      other().destroy();
    });
  };
  const server = createServer((near) => {
    if (isCut) {
      near.destroy();
      return;
    }
    const far = connect(upstreamPort, "127.0.0.1");
    keep(near, () => far);
    keep(far, () => near);
    near.pipe(far).pipe(near);
  });
  const port = await listen(server);
  const cut = (): void => {
    isCut = true;
    for (const socket of sockets) socket.destroy();
  };
  const mend = (): void => {
    isCut = false;
  };
  const stop = async (): Promise<void> => {
    cut();
    server.close();
    await once(server, "close");
  };
  return { port, cut, mend, stop };
}
