import { jsonAnswer } from '../../engine/json/json-answer.ts';
import type { Outcome, Upstream } from '../../engine/ports.ts';

/** One line as a function sees it; `body` is parsed. */
export interface FunctionRequest {
  readonly model: string;
  /** The line's `url`, e.g. `/v1/embeddings`. */
  readonly url: string;
  readonly body: unknown;
  readonly idempotencyKey: string;
}

/** `body` is anything that JSON can hold. */
export interface FunctionAnswer {
  readonly status: number;
  readonly body: unknown;
}

/**
 * An upstream that is a function in this process: for tests, and for models that live here. A rejection is a failed
 * request, and retried as one. `refuses` may say why a model is not served.
 */
export function createFunctionUpstream(
  answer: (request: FunctionRequest) => Promise<FunctionAnswer>,
  refuses: (model: string) => string | null = () => null,
): Upstream {
  return {
    refuses,
    send({ model, url, body, idempotencyKey }, settle) {
      let settled = false;
      const end = (outcome: Outcome): void => {
        if (settled) return;
        settled = true;
        settle(outcome);
      };
      const call = async (): Promise<Outcome> => {
        const parsed: unknown = JSON.parse(Buffer.from(body).toString());
        const { status, body: answered } = await answer({ model, url, body: parsed, idempotencyKey });
        return jsonAnswer(status, answered);
      };
      call().then(end, (error: unknown) =>
        end({ kind: 'failed', code: 'request_failed', message: String(error) }),
      );
      return () => setImmediate(end, { kind: 'aborted' });
    },
    close: async () => {},
  };
}
