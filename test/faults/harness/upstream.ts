/** The upstream as a witness: it answers each request in a way of its own, and remembers what it answered to whom. */
import { createHash, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { startUpstreamServer } from '../../helpers/upstream-server.ts';
import type { ReceivedRequest, Reply } from '../../helpers/upstream-server.ts';
import type { Scope } from './scope.ts';

/** One request that the upstream received. Times are those of `performance.now()`. */
export interface UpstreamCall {
  /** SHA-256 of the request's body: which line it is. */
  readonly bodyHash: string;
  readonly idempotencyKey: string;
  readonly receivedAt: number;
  /** Null while it is not answered. */
  answeredAt: number | null;
  /** What its answer has under `answer`, and no other answer has. */
  readonly answer: string;
}

/** What a script makes of one call: a reply in place of the usual one, or null for the usual one. */
export type CallScript = (call: {
  readonly json: Record<string, unknown>;
  /** 1 for the first request with this body. */
  readonly attempt: number;
}) => Reply | 'hang' | 'drop' | null | Promise<Reply | 'hang' | 'drop' | null>;

export interface WitnessUpstream {
  readonly baseUrl: string;
  readonly calls: readonly UpstreamCall[];
  /** The calls that brought this body. */
  callsOf(bodyHash: string): readonly UpstreamCall[];
  /** How long the usual answer takes, milliseconds. */
  latencyMs: number;
  /** So much is added to the usual answer, bytes. */
  paddingBytes?: number;
  script: CallScript;
}

export function hashOf(bytes: string | Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function parseBody(request: ReceivedRequest): Record<string, unknown> | null {
  try {
    return request.json() as Record<string, unknown>;
  } catch {
    return null;
  }
}

/** Starts it; closed with the scope. */
export async function startWitness(scope: Scope, { latencyMs = 1 } = {}): Promise<WitnessUpstream> {
  const calls: UpstreamCall[] = [];
  const byBody = new Map<string, UpstreamCall[]>();

  const server = await startUpstreamServer(async (request) => {
    const call: UpstreamCall = {
      bodyHash: hashOf(request.body),
      idempotencyKey: request.headers['idempotency-key'] ?? '',
      receivedAt: performance.now(),
      answeredAt: null,
      answer: randomUUID(),
    };
    calls.push(call);
    const same = byBody.get(call.bodyHash) ?? [];
    byBody.set(call.bodyHash, same);
    same.push(call);
    const json = parseBody(request);
    // Nothing but lines of input files is sent here: the line is then seen to have got this.
    if (json === null) return { status: 400, body: { error: 'the witness got a body that is not JSON' } };
    const scripted = await witness.script({ json, attempt: same.length });
    if (scripted === null && witness.latencyMs > 0) await sleep(witness.latencyMs);
    call.answeredAt = performance.now();
    const { paddingBytes = 0 } = witness;
    const padding = paddingBytes > 0 ? { padding: 'x'.repeat(paddingBytes) } : {};
    const usage = { prompt_tokens: 3, completion_tokens: 2 };
    return scripted ?? { body: { answer: call.answer, usage, ...padding } };
  });
  scope.defer(() => server.close());

  const witness: WitnessUpstream = {
    baseUrl: server.baseUrl,
    calls,
    callsOf: (bodyHash) => byBody.get(bodyHash) ?? [],
    latencyMs,
    script: () => null,
  };
  return witness;
}
