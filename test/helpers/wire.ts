/** A TCP proxy as a network that fails: bytes that go one way are held up, or all connections break. */
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

export type Direction = 'requests' | 'answers';

export interface Wire {
  readonly port: number;
  /** From now on nothing gets through in this direction; what is sent waits, as TCP has it. */
  hold(direction: Direction): void;
  /** All goes through again, also what had to wait. */
  release(): void;
  /** Breaks every connection. */
  reset(): void;
  close(): Promise<void>;
}

/** Passes everything on to a port of this machine. */
export async function startWire(targetPort: number): Promise<Wire> {
  const held = new Set<Direction>();
  /** Which sockets are read from, and in which direction their bytes go. */
  const sources = new Map<Socket, Direction>();
  const server = createServer((client) => {
    const target = connect(targetPort, '127.0.0.1');
    pass(client, target, 'requests');
    pass(target, client, 'answers');
  });

  function pass(source: Socket, sink: Socket, direction: Direction): void {
    sources.set(source, direction);
    source.on('error', () => {});
    source.on('close', () => {
      sources.delete(source);
      sink.destroy();
    });
    source.on('data', (bytes: Buffer) => {
      if (!sink.write(bytes)) source.pause();
    });
    sink.on('drain', () => void (held.has(direction) || source.resume()));
    source.on('end', () => sink.end());
    if (held.has(direction)) source.pause();
  }

  function reset(): void {
    for (const socket of sources.keys()) socket.destroy();
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    hold(direction) {
      held.add(direction);
      for (const [socket, its] of sources) if (its === direction) socket.pause();
    },
    release() {
      held.clear();
      for (const socket of sources.keys()) socket.resume();
    },
    reset,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      reset();
      await closed;
    },
  };
}
