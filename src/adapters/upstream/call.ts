import type { Dispatcher } from 'undici';
import type { Outcome } from '../../engine/ports.ts';
import { failureMessage, timeoutMessage, tooLargeMessage, unreachableMessage } from './messages.ts';
import type { Slot } from './slots.ts';

type IncomingHeaders = Parameters<NonNullable<Dispatcher.DispatchHandler['onResponseStart']>>[2];

/** What all calls of an upstream have in common. */
export interface CallContext {
  /** Scheme, host and port, for messages. */
  readonly origin: string;
  readonly requestTimeoutMs: number;
  readonly maxResponseBytes: number;
  /** The call has its outcome. Called once a call, at any moment, even before `dispatch` has returned. */
  readonly onEnded: (call: Call, outcome: Outcome) => void;
}

const NO_BYTES = Buffer.alloc(0);

/** One request on its way: undici's handler of it, which gathers the answer. None of its methods throws. */
export class Call implements Dispatcher.DispatchHandler {
  readonly slot: Slot;
  readonly startedAt: number;
  readonly settle: (outcome: Outcome) => void;
  readonly #context: CallContext;
  #hasEnded = false;
  /** False: nothing of the request has been written, so that it cannot have been at fault. */
  #isSent = false;
  #status = 0;
  #headers: IncomingHeaders = {};
  #bytes = 0;
  /** Views of what the socket read. Node never writes to that memory again, so they need no copies. */
  #first: Buffer | null = null;
  #more: Buffer[] | null = null;

  constructor(context: CallContext, slot: Slot, startedAt: number, settle: (outcome: Outcome) => void) {
    this.#context = context;
    this.slot = slot;
    this.startedAt = startedAt;
    this.settle = settle;
  }

  abort(): void {
    this.#end({ kind: 'aborted' });
  }

  /** The time for the call is over. */
  expire(): void {
    const { requestTimeoutMs, origin } = this.#context;
    if (this.#isSent) this.#fail('request_timeout', timeoutMessage(requestTimeoutMs));
    else
      this.#end({
        kind: 'unreachable',
        message: unreachableMessage(origin, new Error('no connection in time')),
      });
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // It may have been aborted while undici still waited for the connection.
    if (this.#hasEnded) controller.abort(new Error('the request is not needed any more'));
    else this.#isSent = true;
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: IncomingHeaders,
  ): void {
    if (status < 200 || this.#hasEnded) return;
    this.#status = status;
    this.#headers = headers;
    if (Number(headers['content-length']) > this.#context.maxResponseBytes) this.#failTooLarge();
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#hasEnded) return;
    this.#bytes += chunk.length;
    if (this.#bytes > this.#context.maxResponseBytes) this.#failTooLarge();
    else if (this.#first === null) this.#first = chunk;
    else if (this.#more === null) this.#more = [this.#first, chunk];
    else this.#more.push(chunk);
  }

  onResponseEnd(): void {
    const { connectionError } = this.slot;
    // The end of an answer without a length is the end of its connection; a reset is not that.
    if (connectionError !== null) return this.#fail('request_failed', failureMessage(connectionError));
    const headers = this.#headers;
    this.#end({
      kind: 'answer',
      status: this.#status,
      body: this.#more === null ? (this.#first ?? NO_BYTES) : Buffer.concat(this.#more, this.#bytes),
      requestId: headerValue(headers['x-request-id'] ?? headers['request-id']),
      retryAfterMs: headerValue(headers['retry-after-ms']),
      retryAfter: headerValue(headers['retry-after']),
      shouldRetry: headerValue(headers['x-should-retry']),
      contentEncoding: headerValue(headers['content-encoding']),
    });
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#isSent) this.#fail('request_failed', failureMessage(error));
    else this.#end({ kind: 'unreachable', message: unreachableMessage(this.#context.origin, error) });
  }

  #failTooLarge(): void {
    this.#fail('response_too_large', tooLargeMessage(this.#context.maxResponseBytes));
  }

  #fail(code: 'request_timeout' | 'request_failed' | 'response_too_large', message: string): void {
    this.#end({ kind: 'failed', code, message });
  }

  #end(outcome: Outcome): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#first = null;
    this.#more = null;
    this.#context.onEnded(this, outcome);
  }
}

/** The first value where a header came several times. */
function headerValue(value: string | string[] | undefined): string | null {
  if (value === undefined) return null;
  return typeof value === 'string' ? value : (value[0] ?? null);
}
