/** Ports of this machine: some on which nobody may ever knock, and some on which nobody answers. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { Socket } from 'node:net';
import type { Random } from '../harness/random.ts';
import type { Scope } from '../harness/scope.ts';

export interface Trap {
  readonly port: number;
  /** Who came, as address and port. */
  readonly visitors: readonly string[];
}

/** Listens on a port of 127.0.0.1 and, where the machine has IPv6, of ::1. Closed with the scope. */
export async function startTrap(scope: Scope): Promise<Trap> {
  const visitors: string[] = [];
  const onVisitor = (socket: Socket): void => {
    visitors.push(`${socket.remoteAddress} at port ${socket.remotePort}`);
    socket.on('error', () => {}).end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
  };
  for (;;) {
    const v4 = createServer(onVisitor).listen(0, '127.0.0.1');
    await once(v4, 'listening');
    const { port } = v4.address() as { readonly port: number };
    const v6 = createServer(onVisitor).listen(port, '::1');
    const error = await once(v6, 'listening').then(
      () => null,
      (error: NodeJS.ErrnoException) => error,
    );
    if (error?.code === 'EADDRINUSE') {
      v4.close();
      continue;
    }
    scope.defer(() => v4.close());
    if (error === null) scope.defer(() => v6.close());
    return { port, visitors };
  }
}

/**
 * A port of 127.0.0.1 on which nothing listens, below those from which systems take ports by themselves: it can be
 * listened on later.
 */
export async function deadPort(random: Random): Promise<number> {
  for (;;) {
    const port = random.between(20_000, 30_000);
    const server = createServer().listen(port, '127.0.0.1');
    const isFree = await once(server, 'listening').then(
      () => true,
      () => false,
    );
    if (!isFree) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}
