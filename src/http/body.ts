/** How bodies other than uploads are read: as JSON, up to a limit, or not at all. */
import { isUtf8 } from 'node:buffer';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { HttpError } from './errors.ts';

/** Bodies of this scope are JSON (undefined where empty); anything else is refused with 400. */
export function readJsonBodies(scope: FastifyInstance): void {
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser(
    'application/json',
    // As a string, bytes that are not UTF-8 would become other characters in silence.
    { parseAs: 'buffer' },
    async (_request: FastifyRequest, body: Buffer) => {
      if (body.length === 0) return undefined;
      if (!isUtf8(body)) throw notJson();
      try {
        return JSON.parse(body.toString()) as unknown;
      } catch (cause) {
        throw notJson(cause);
      }
    },
  );
  scope.addContentTypeParser('*', { parseAs: 'buffer' }, async (_request: FastifyRequest, body: Buffer) => {
    if (body.length > 0) throw notJson();
    return undefined;
  });
}

/** Bodies of this scope are read and dropped, whatever they claim to be: some clients send one where none belongs. */
export function ignoreBodies(scope: FastifyInstance): void {
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser('*', { parseAs: 'buffer' }, async () => undefined);
  scope.addHook('onRequest', async (request) => {
    // A malformed type would be refused before any parser is asked.
    delete request.headers['content-type'];
  });
}

function notJson(cause?: unknown): HttpError {
  return new HttpError(
    400,
    'We could not parse the JSON body of your request. Send a JSON object, with the header Content-Type: application/json.',
    { cause },
  );
}
