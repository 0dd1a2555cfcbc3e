/** A TCP proxy that tests can cut, in one direction or both. */
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

/** What becomes of bytes on their way: passed on, lost while the connection stays, or the connection is cut before or after them. */
export type Fate = 'pass' | 'lose' | 'cut before' | 'cut after';

export interface TcpProxy {
  readonly port: number;
  close(): Promise<void>;
}

/** Listens on loopback and passes everything on to `target`; `judge` is asked of what clients send, `judgeAnswer` of what they get. */
export async function startTcpProxy(
  target: { readonly host: string; readonly port: number },
  judge: (bytes: Buffer) => Fate,
  judgeAnswer: (bytes: Buffer) => Fate = () => 'pass',
): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(target);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => sockets.delete(socket));
    }
    upstream.on('data', (bytes: Buffer) => {
      const fate = judgeAnswer(bytes);
      if (fate === 'cut before') client.destroy();
      else if (fate !== 'lose') client.write(bytes, () => fate === 'cut after' && client.destroy());
    });
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
