import { systemClock } from '../../engine/clock.ts';
import { jsonAnswer } from '../../engine/json/json-answer.ts';
import type { Clock, Upstream } from '../../engine/ports.ts';
import { answerEcho } from './echo-answers.ts';

/** The name of the built-in model. */
const ECHO_MODEL = 'echo';

/**
 * The built-in model `echo`, for trying the service out: answers each endpoint in its own shape, with what it was
 * given, without a network. Requests for other models are refused. `clock` dates the answers.
 */
export function createEchoUpstream({ clock = systemClock }: { readonly clock?: Clock } = {}): Upstream {
  let isClosed = false;

  return {
    refuses(model) {
      if (model === ECHO_MODEL) return null;
      return `Only the built-in model '${ECHO_MODEL}' is available until UPSTREAM_BASE_URL names a model server.`;
    },
    send({ url, body, idempotencyKey }, settle) {
      let isAborted = false;
      setImmediate(() => {
        if (isAborted || isClosed) return settle({ kind: 'aborted' });
        const createdAt = Math.floor(clock.now() / 1000);
        const answer = answerEcho({ url, body, id: idempotencyKey, createdAt });
        settle(jsonAnswer(answer.status, answer.body));
      });
      return () => {
        isAborted = true;
      };
    },
    async close() {
      isClosed = true;
      // Immediates run in the order in which they were set: behind all calls.
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}
