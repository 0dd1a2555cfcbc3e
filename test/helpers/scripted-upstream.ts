import { jsonAnswer } from '../../src/engine/json/json-answer.ts';
import type { Outcome, Upstream, UpstreamRequest } from '../../src/engine/index.ts';

export interface ReceivedRequest {
  readonly model: string;
  readonly url: string;
  readonly body: string;
  readonly idempotencyKey: string;
}

/** An attempt that the test itself ends. */
export interface HeldAttempt {
  readonly request: ReceivedRequest;
  /** Ends it; a no-op once it has ended. */
  settle(outcome: Outcome): void;
}

export interface ScriptedUpstream extends Upstream {
  /** Everything that was sent, in order. */
  readonly requests: readonly ReceivedRequest[];
  /** Attempts for which the script answered `hold` and which have not ended, in order. */
  readonly held: readonly HeldAttempt[];
  /** The most attempts that were ever open at once. */
  readonly peak: number;
}

/** A 2xx (or other) answer with a JSON body. */
export function answer(
  body: unknown,
  status = 200,
  headers: Partial<Outcome & { kind: 'answer' }> = {},
): Outcome {
  const parsed = jsonAnswer(status, body);
  return { ...parsed, ...(typeof body === 'string' && { body: Buffer.from(body) }), ...headers };
}

export const unreachable: Outcome = { kind: 'unreachable', message: 'connect ECONNREFUSED' };

/** An upstream in the process whose answers `script` decides; `attempt` counts from 1 for each line. */
export function createScriptedUpstream(
  script: (request: ReceivedRequest, attempt: number) => Outcome | 'hold' = (request) =>
    answer({ echo: request.body }),
  refuses: (model: string) => string | null = () => null,
): ScriptedUpstream {
  const requests: ReceivedRequest[] = [];
  const held = new Set<HeldAttempt>();
  const attempts = new Map<string, number>();
  let open = 0;
  let peak = 0;

  function record(request: UpstreamRequest): ReceivedRequest {
    const received = { ...request, body: Buffer.from(request.body).toString() };
    requests.push(received);
    return received;
  }

  return {
    requests,
    get held() {
      return [...held];
    },
    get peak() {
      return peak;
    },
    refuses,
    send(request, settle) {
      const received = record(request);
      const attempt = (attempts.get(request.idempotencyKey) ?? 0) + 1;
      attempts.set(request.idempotencyKey, attempt);
      peak = Math.max(peak, ++open);
      let ended = false;
      const end = (outcome: Outcome): void => {
        if (ended) return;
        ended = true;
        held.delete(entry);
        open--;
        settle(outcome);
      };
      const entry: HeldAttempt = { request: received, settle: end };
      const outcome = script(received, attempt);
      if (outcome === 'hold') held.add(entry);
      else setImmediate(end, outcome);
      return () => setImmediate(end, { kind: 'aborted' });
    },
    close: async () => {},
  };
}
