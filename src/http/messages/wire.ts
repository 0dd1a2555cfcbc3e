/** How requests of the Messages API are told apart from others, and what their headers and queries say. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { HttpError } from '../errors.ts';
import { pathOf } from '../observe.ts';

/** True for requests to the paths of the Messages API, unknown ones included. */
export function isMessagesRequest(request: { readonly url: string }): boolean {
  return /^\/v1\/messages(?:\/|$)/.test(pathOf(request));
}

/** The `Authorization` of a request; on the paths of the Messages API the key may stand in `x-api-key` instead. */
export function authorizationOf(request: FastifyRequest): string | undefined {
  const key = request.headers['x-api-key'];
  if (typeof key === 'string' && key !== '' && isMessagesRequest(request)) return `Bearer ${key}`;
  return request.headers.authorization;
}

/** Gives answers of the Messages API its own headers in place of the other API's. */
export function addMessagesHeaders(app: FastifyInstance): void {
  app.addHook('onSend', async (request, reply) => {
    if (!isMessagesRequest(request)) return;
    reply.removeHeader('openai-version').removeHeader('openai-processing-ms');
    reply.header('request-id', request.id);
  });
}

const VERSIONS = ['2023-06-01', '2026-10-21'];

/** Refuses, before any body is read, versions of the Messages API that are not spoken here. */
export function checkVersion(scope: FastifyInstance): void {
  scope.addHook('onRequest', async ({ headers }) => {
    const version = headers['anthropic-version'];
    if (version === undefined || version === '') {
      throw new HttpError(400, 'anthropic-version: header is required');
    }
    if (typeof version === 'string' && VERSIONS.includes(version)) return;
    throw new HttpError(400, `anthropic-version: Input should be one of ${VERSIONS.join(', ')}`);
  });
}

export interface ListQuery {
  readonly limit: number;
  readonly before: string | undefined;
  readonly after: string | undefined;
}

const MAX_LIMIT = 1000;

/** The query of a list, or an HttpError that names what is wrong with it. Values that are empty count as not given. */
export function readListQuery(query: unknown): ListQuery {
  const { limit, before_id, after_id } = query as Readonly<Record<string, unknown>>;
  const [before, after] = [readText('before_id', before_id), readText('after_id', after_id)];
  if (before !== undefined && after !== undefined) {
    throw new HttpError(400, 'before_id: Only one of before_id and after_id can be given');
  }
  return { limit: readLimit(readText('limit', limit)), before, after };
}

function readText(name: string, value: unknown): string | undefined {
  if (value === undefined || value === '') return undefined;
  if (typeof value === 'string') return value;
  throw new HttpError(400, `${name}: Input should be a valid string`);
}

function readLimit(text: string | undefined): number {
  if (text === undefined) return 20;
  if (!/^-?\d+$/.test(text)) throw new HttpError(400, 'limit: Input should be a valid integer');
  const limit = Number(text);
  if (limit < 1) throw new HttpError(400, 'limit: Input should be greater than or equal to 1');
  if (limit > MAX_LIMIT)
    throw new HttpError(400, `limit: Input should be less than or equal to ${MAX_LIMIT}`);
  return limit;
}

/** A name or an address with or without a port: nothing that could end a URL's authority, or a header. */
const HOST = /^(?:[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i;

/**
 * What URLs in an answer begin with: `publicBaseUrl` where it is set, else the host that the client says it called. Where that
 * is no host, nothing: a relative URL leads clients back to the server that they know.
 */
export function baseUrlOf(request: FastifyRequest, publicBaseUrl: string | null): string {
  if (publicBaseUrl !== null) return publicBaseUrl.replace(/\/+$/, '');
  const { host } = request.headers;
  return host !== undefined && HOST.test(host) ? `${request.protocol}://${host}` : '';
}
