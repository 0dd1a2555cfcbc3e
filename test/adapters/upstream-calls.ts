import { createHttpUpstream } from '../../src/adapters/upstream/index.ts';
import type { HttpUpstreamOptions } from '../../src/adapters/upstream/index.ts';
import type { Outcome, Upstream, UpstreamRequest } from '../../src/engine/ports.ts';
import { closeAfterTest } from '../helpers/close-after-test.ts';
import { createFakeClock } from '../helpers/fake-clock.ts';
import type { FakeClock } from '../helpers/fake-clock.ts';

/** One call of `send`, watched. */
export interface WatchedCall {
  readonly outcome: Promise<Outcome>;
  readonly abort: () => void;
  /** Every outcome that was told, in order. */
  readonly told: readonly Outcome[];
}

/** An HttpUpstream whose clock stands still, closed after the test. */
export function openUpstream(
  baseUrl: string,
  options: Partial<HttpUpstreamOptions> = {},
): Upstream & { readonly clock: FakeClock } {
  const clock = createFakeClock();
  const upstream = createHttpUpstream({
    baseUrl,
    apiKey: 'sk-test',
    requestTimeoutMs: 600_000,
    maxResponseBytes: 64 * 1024 * 1024,
    clock,
    ...options,
  });
  return closeAfterTest({ ...upstream, clock });
}

export function send(upstream: Upstream, request: Partial<UpstreamRequest> = {}): WatchedCall {
  const told: Outcome[] = [];
  const { promise, resolve } = Promise.withResolvers<Outcome>();
  const abort = upstream.send(
    {
      model: 'some-model',
      url: '/v1/chat/completions',
      body: Buffer.from('{}'),
      idempotencyKey: 'batch_req_1',
      ...request,
    },
    (outcome) => {
      told.push(outcome);
      resolve(outcome);
    },
  );
  return { outcome: promise, abort, told };
}

/** The body of an answer as text; fails for any other outcome. */
export async function textOf(call: WatchedCall): Promise<string> {
  const outcome = await call.outcome;
  if (outcome.kind !== 'answer') throw new Error(`no answer but ${JSON.stringify(outcome)}`);
  return outcome.body.toString();
}

/** A whole answer as bytes on the wire, for raw servers. */
export function rawAnswer(body: string, headers = ''): string {
  return `HTTP/1.1 200 OK\r\n${headers}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}
