/** An upstream of which each answer can be wrong in a way of its own: a fault gets the socket of every request. */
import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import { startRawServer } from '../../helpers/upstream-server.ts';
import type { ReceivedRequest, TestServer } from '../../helpers/upstream-server.ts';
import type { Scope } from '../harness/scope.ts';
import { hashOf } from '../harness/upstream.ts';
import type { UpstreamCall, WitnessUpstream } from '../harness/upstream.ts';

/** A request that waits for what the fault makes of it. */
export interface ServedCall extends UpstreamCall {
  /** 1 for the first request with this body. */
  readonly attempt: number;
  readonly request: ReceivedRequest;
  readonly socket: Socket;
  /**
   * When something was last sent or done in answer, by `performance.now()`, taken before it was; null: nothing was. The
   * service cannot have known before that how the attempt ends, unless it lost its patience.
   */
  lastDeedAt: number | null;
  /** When its connection was seen closed, by `performance.now()`; null: it is open. */
  readonly closedAt: number | null;
  /** The body of a good answer to it. */
  readonly goodBody: string;
  /** Sends bytes as they are. */
  write(bytes: string | Uint8Array): void;
  /** Sends bytes and closes the connection behind them. */
  end(bytes?: string | Uint8Array): void;
  /** Sends bytes and resets the connection when they have gone. */
  reset(bytes?: string): void;
}

export interface FaultyUpstream extends WitnessUpstream {
  readonly calls: readonly ServedCall[];
  callsOf(bodyHash: string): readonly ServedCall[];
  /** What is done with a request. At first: a good answer. */
  serve: (call: ServedCall) => unknown;
  /** The connections that are open now. */
  readonly openSockets: readonly Socket[];
  /** Stops listening and closes every connection: from now on connections are refused. */
  goDown(): Promise<void>;
  /** Listens again, on the same port. */
  comeBack(): Promise<void>;
}

export function answerWell(call: ServedCall): void {
  call.write(answerOf(call.goodBody));
}

/** A whole answer as bytes on the wire. `headers`: lines that each end with CR LF. */
export function answerOf(body: string, { status = 200, headers = '' } = {}): string {
  return `HTTP/1.1 ${status} Test\r\ncontent-type: application/json\r\n${headers}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

/** Starts it; closed with the scope. */
export async function startFaultyUpstream(scope: Scope): Promise<FaultyUpstream> {
  const calls: ServedCall[] = [];
  const byBody = new Map<string, ServedCall[]>();
  const closings = new WeakMap<Socket, number>();

  function onRequest(request: ReceivedRequest, socket: Socket): void {
    const bodyHash = hashOf(request.body);
    const same = byBody.get(bodyHash) ?? [];
    byBody.set(bodyHash, same);
    const closedAt = (): number | null => closings.get(socket) ?? null;
    const call = createCall(request, socket, { bodyHash, attempt: same.length + 1, closedAt });
    same.push(call);
    calls.push(call);
    void upstream.serve(call);
  }

  const onConnection = (socket: Socket): void => {
    socket.once('close', () => closings.set(socket, performance.now()));
  };
  let server: TestServer = await startRawServer(onRequest, { onConnection });
  const { port, baseUrl } = server;
  let isUp = true;
  scope.defer(() => upstream.goDown());

  const upstream: FaultyUpstream = {
    baseUrl,
    calls,
    callsOf: (bodyHash) => byBody.get(bodyHash) ?? [],
    serve: answerWell,
    get openSockets() {
      return server.connections.filter((socket) => !socket.closed);
    },
    async goDown() {
      if (isUp) await server.close();
      isUp = false;
    },
    async comeBack() {
      server = await startRawServer(onRequest, { onConnection, port });
      isUp = true;
    },
    // What a tame upstream is told by these, this one is told by `serve`.
    latencyMs: 0,
    paddingBytes: 0,
    script: () => null,
  };
  return upstream;
}

function createCall(
  request: ReceivedRequest,
  socket: Socket,
  {
    bodyHash,
    attempt,
    closedAt,
  }: { readonly bodyHash: string; readonly attempt: number; readonly closedAt: () => number | null },
): ServedCall {
  const answer = randomUUID();
  /** Does something in answer, unless the connection is gone. */
  function act(deed: () => void): void {
    if (socket.destroyed) return;
    call.lastDeedAt = performance.now();
    call.answeredAt = call.lastDeedAt;
    deed();
  }
  const call: ServedCall = {
    bodyHash,
    attempt,
    idempotencyKey: request.headers['idempotency-key'] ?? '',
    receivedAt: performance.now(),
    answeredAt: null,
    lastDeedAt: null,
    get closedAt() {
      return closedAt();
    },
    answer,
    goodBody: JSON.stringify({ answer, usage: { prompt_tokens: 3, completion_tokens: 2 } }),
    request,
    socket,
    write: (bytes) => act(() => socket.write(bytes)),
    end: (bytes = '') => act(() => socket.end(bytes)),
    reset: (bytes = '') =>
      act(() => socket.write(bytes, () => setImmediate(() => act(() => socket.resetAndDestroy())))),
  };
  return call;
}
