/** Receivers of a try besides the harness's own, each with a port of its own. */
import { startRawServer } from '../../helpers/upstream-server.ts';
import type { ReceivedRequest, TestServer } from '../../helpers/upstream-server.ts';
import type { Socket } from 'node:net';
import type { Scope } from '../harness/scope.ts';

export interface BadReceiver extends Pick<TestServer, 'origin' | 'requests'> {
  /** Each connection on which a webhook came, and how long it was open: milliseconds, null while it is. */
  readonly calls: readonly { readonly path: string; openMs: number | null }[];
}

/** Does with each webhook what `serve` does. Closed with the scope. */
export async function startBadReceiver(
  scope: Scope,
  serve: (socket: Socket, request: ReceivedRequest) => unknown,
): Promise<BadReceiver> {
  const calls: { path: string; openMs: number | null }[] = [];
  const server = await startRawServer((request, socket) => {
    const call: (typeof calls)[number] = { path: request.path, openMs: null };
    const startedAt = performance.now();
    calls.push(call);
    socket.once('close', () => (call.openMs = performance.now() - startedAt));
    serve(socket, request);
  });
  scope.defer(() => server.close());
  return { origin: server.origin, requests: server.requests, calls };
}
