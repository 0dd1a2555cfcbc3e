/** A TCP proxy that tests can cut, in one direction or both. */
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

/** What becomes of bytes on their way: passed on, lost without a word, or the connection is cut before or after that. */
export type Fate = 'pass' | 'lose' | 'cut before' | 'cut after';

export interface TcpProxy {
  readonly port: number;
  close(): Promise<void>;
}

/** Listens on loopback and passes everything on to `target`; `judge` is asked of what clients send. */
export async function startTcpProxy(
  target: { readonly host: string; readonly port: number },
  judge: (bytes: Buffer) => Fate,
): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(target);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => sockets.delete(socket));
    }
    upstream.on('data', (bytes: Buffer) => void client.write(bytes));
    upstream.on('end', () => client.end());
    client.on('end', () => upstream.end());
    client.on('data', (bytes: Buffer) => {
      const fate = judge(bytes);
      if (fate === 'lose') return;
      if (fate !== 'pass') {
        // The answer finds no way back, also if it is quick.
        upstream.removeAllListeners('data');
        upstream.resume();
      }
      if (fate === 'cut before') upstream.destroy();
      else upstream.write(bytes, () => fate === 'cut after' && upstream.end());
      if (fate !== 'pass') client.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
