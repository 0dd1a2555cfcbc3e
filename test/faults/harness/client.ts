/** A client that writes down in a ledger what it was promised. */
import { randomUUID } from 'node:crypto';
import type { Input } from './lines.ts';
import { observe } from './ledger.ts';
import type { BatchObject, Ledger, PromisedBatch, PromisedFile } from './ledger.ts';

/** The answer to a call was an error: the call has definitely not happened. */
export class Refused extends Error {
  readonly status: number;
  /** What was answered, as text. */
  readonly body: string;

  constructor(what: string, status: number, body: string) {
    super(`${what} was refused with ${status}: ${body.slice(0, 300)}`);
    this.name = 'Refused';
    this.status = status;
    this.body = body;
  }
}

/** What a call is sent with. */
export interface CallOptions {
  /** Default: POST where there is a body, else GET. */
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** An object is sent as JSON. */
  readonly body?: FormData | object;
}

export interface CreateOptions {
  readonly tag?: string;
  /** More members of the body. */
  readonly body?: Readonly<Record<string, unknown>>;
  /** Where on the receiver its webhook goes. */
  readonly webhookUrl?: string | undefined;
}

/**
 * Calls of the API. Each throws Refused where the service said no, and whatever `fetch` throws where no whole answer
 * came, so that nobody knows whether the call has happened.
 */
export interface Client {
  /** Any call, by its path behind `/v1`; `what` names it in errors. Answers the body as text. */
  call(what: string, path: string, options?: CallOptions): Promise<string>;
  /** As `call`; answers the body's value. */
  callJson<T>(what: string, path: string, options?: CallOptions): Promise<T>;
  upload(input: Input): Promise<PromisedFile>;
  create(file: PromisedFile, options?: CreateOptions): Promise<PromisedBatch>;
  /** Answers the status that the batch then had. */
  cancel(batch: PromisedBatch): Promise<string>;
  /** Reads the batch and notes what was seen. */
  retrieve(batch: PromisedBatch): Promise<BatchObject>;
  /** Every batch there is. */
  list(): Promise<BatchObject[]>;
  deleteFile(file: PromisedFile): Promise<void>;
  deleteBatch(batch: PromisedBatch): Promise<void>;
  /** A file's bytes as text, or null where there is no such file. */
  content(fileId: string): Promise<string | null>;
}

export interface ClientOptions {
  /** Asked for at each call: the service has another port after each restart. */
  readonly url: () => string;
  readonly ledger: Ledger;
  /** Null where none is asked for. */
  readonly apiKey: string | null;
}

export function createClient({ url, ledger, apiKey }: ClientOptions): Client {
  const key: Readonly<Record<string, string>> = apiKey === null ? {} : { authorization: `Bearer ${apiKey}` };

  const call: Client['call'] = async (what, path, { method, headers = {}, body } = {}) => {
    const isJson = body !== undefined && !(body instanceof FormData);
    const type: Readonly<Record<string, string>> = isJson ? { 'content-type': 'application/json' } : {};
    const response = await fetch(`${url()}/v1${path}`, {
      method: method ?? (body === undefined ? 'GET' : 'POST'),
      headers: { ...key, ...type, ...headers },
      body: isJson ? JSON.stringify(body) : (body ?? null),
    });
    const text = await response.text();
    if (!response.ok) throw new Refused(what, response.status, text);
    return text;
  };

  const callJson: Client['callJson'] = async <T>(...[what, path, options]: Parameters<Client['call']>) =>
    JSON.parse(await call(what, path, options)) as T;

  return {
    call,
    callJson,
    async upload(input) {
      const form = new FormData();
      form.set('purpose', 'batch');
      form.set('file', new Blob([input.text]), 'input.jsonl');
      const { id } = await callJson<{ id: string }>('an upload', '/files', { body: form });
      const file = { id, input, isDeleted: false };
      ledger.files.push(file);
      return file;
    },
    async create(file, { tag = randomUUID(), body = {}, webhookUrl } = {}) {
      try {
        const { id } = await callJson<BatchObject>('a create', '/batches', {
          body: createBody(file, { tag, webhookUrl, body }),
        });
        return noteCreated(ledger, { id, file, tag, webhookUrl });
      } catch (error) {
        if (error instanceof Refused) ledger.refusedTags.push(tag);
        throw error;
      }
    },
    async cancel(batch) {
      const { status } = await callJson<BatchObject>('a cancel', `/batches/${batch.id}/cancel`, {
        method: 'POST',
      });
      batch.isCancelled = true;
      return status;
    },
    async retrieve(batch) {
      const seen = await callJson<BatchObject>(`batch ${batch.id}`, `/batches/${batch.id}`);
      observe(batch, seen);
      return seen;
    },
    async list() {
      const batches: BatchObject[] = [];
      for (let after = ''; ;) {
        const page = await callJson<{ data: BatchObject[]; has_more: boolean; last_id: string }>(
          'a list',
          `/batches?limit=100${after}`,
        );
        batches.push(...page.data);
        if (!page.has_more) return batches;
        after = `&after=${page.last_id}`;
      }
    },
    async deleteFile(file) {
      await call('a delete', `/files/${file.id}`, { method: 'DELETE' });
      file.isDeleted = true;
    },
    async deleteBatch(batch) {
      await call('a delete', `/batches/${batch.id}`, { method: 'DELETE' });
      const at = ledger.batches.indexOf(batch);
      // It is gone already where another call has deleted it at the same time.
      if (at !== -1) ledger.batches.splice(at, 1);
      ledger.deletedBatches.push(batch.id);
    },
    async content(fileId) {
      try {
        return await call(`the content of ${fileId}`, `/files/${fileId}/content`);
      } catch (error) {
        if (error instanceof Refused && error.status === 404) return null;
        throw error;
      }
    },
  };
}

/** What a create asks for. */
export function createBody(file: PromisedFile, { tag, webhookUrl, body = {} }: CreateOptions): object {
  return {
    input_file_id: file.id,
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
    metadata: { tag },
    ...(webhookUrl !== undefined && { webhook_url: webhookUrl }),
    ...body,
  };
}

/** Enters a batch that is known to be there, also when its create was never answered. */
export function noteCreated(
  ledger: Ledger,
  batch: {
    readonly id: string;
    readonly file: PromisedFile;
    readonly tag: string;
    readonly webhookUrl?: string | undefined;
  },
): PromisedBatch {
  const { id, file, tag, webhookUrl } = batch;
  const webhookPath = webhookUrl === undefined ? null : new URL(webhookUrl).pathname;
  const promised = { id, file, tag, webhookPath, isCancelled: false, ended: null, contradictions: [] };
  ledger.batches.push(promised);
  return promised;
}
