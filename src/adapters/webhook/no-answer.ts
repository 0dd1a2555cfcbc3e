import type { WebhookOutcome } from '../../engine/ports.ts';

/** Ends an attempt that has got no answer, with its outcome. */
export class NoAnswer extends Error {
  readonly outcome: WebhookOutcome;

  constructor(outcome: Exclude<WebhookOutcome, { kind: 'answered' }>) {
    super(outcome.kind === 'aborted' ? 'aborted' : outcome.message);
    this.name = 'NoAnswer';
    this.outcome = outcome;
  }
}

/** The outcome of an attempt that ended with `error`; of errors that are not ours only the code is told. */
export function outcomeOf(error: unknown): WebhookOutcome {
  if (error instanceof NoAnswer) return error.outcome;
  const { code, name } = error as Error & { readonly code?: string };
  return { kind: 'failed', message: `no answer: ${code ?? name}` };
}
