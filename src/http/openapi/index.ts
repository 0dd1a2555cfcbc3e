/** `/openapi.json` and `/docs`: the API described by the schemas that it checks with. */
import { readFileSync } from 'node:fs';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance, FastifySchema, RouteOptions } from 'fastify';
import { z } from 'zod';
import { errorEnvelope, messageErrorEnvelope } from './objects.ts';
import type { Operation } from './operation.ts';
import { findOperation, tags } from './operations.ts';

const DOCS = '/docs';

/** Refusals that any route with a key may answer; requests of administrators as such are not counted. */
const COMMON_ERRORS = [401, 429, 500, 503];
const ADMIN_ERRORS = COMMON_ERRORS.filter((status) => status !== 429);

const MEANINGS: Readonly<Record<number, string>> = {
  400: 'What was sent is not acceptable; `param` names the field.',
  401: 'No key, or a wrong one.',
  403: 'The key may not do this, or its owner has used up what it may store.',
  404: 'There is no such thing, or it belongs to somebody else.',
  409: 'Its state does not allow it; trying again does not help.',
  410: 'It has expired.',
  413: 'Larger than a limit, which the message names.',
  416: 'The range lies outside the file.',
  429: 'Too many at a time, or more than a limit of the owner or the key allows; `Retry-After` says when to try again, unless `x-should-retry` is false.',
  500: 'Unexpected; the log tells more under the `x-request-id`.',
  503: 'Storage fails, or the service is starting or stopping. Try again later.',
  507: 'The disk is full.',
};

/**
 * Describes every route that is registered after it. Fastify itself checks and prints nothing by these schemas: the routes do, with
 * messages of the official API's kind.
 */
export function describeApi(app: FastifyInstance): void {
  app.setValidatorCompiler(() => () => true);
  app.setSerializerCompiler(() => (data) => JSON.stringify(data));
  app.addHook('onRoute', describeRoute);
  app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'anyllm-batch',
        version: packageVersion(),
        description:
          'An OpenAI-compatible Batch API. Errors have one envelope; answers carry `x-request-id`.',
        license: { name: 'MIT' },
      },
      components: { securitySchemes: { key: { type: 'http', scheme: 'bearer' } } },
      tags: tags.map((name) => ({ name })),
    },
  });
  app.register(swaggerUi, { routePrefix: DOCS, staticCSP: true });
  app.register(async (scope) => {
    scope.get('/openapi.json', { config: { public: true }, schema: { hide: true } }, async () =>
      app.swagger(),
    );
  });
}

/** The same file from src/http/openapi/ and from dist/http/openapi/. */
function packageVersion(): string {
  const manifest = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(manifest) as { version: string }).version;
}

function describeRoute(route: RouteOptions): void {
  if (route.url.startsWith(DOCS)) {
    // Whoever may not use the API may still read how it works.
    route.config = { ...route.config, public: true };
    return;
  }
  const method = [route.method].flat()[0] ?? '';
  const operation = findOperation(`${method} ${route.url}`);
  if (operation !== undefined) route.schema = schemaOf(operation, route);
}

function schemaOf(operation: Operation & { readonly tag: string }, route: RouteOptions): FastifySchema {
  const { tag, summary, description, query, headers, body, form, answer, errors = [] } = operation;
  const isPublic = route.config?.public === true;
  const envelope = route.url.startsWith('/v1/messages/') ? messageErrorEnvelope : errorEnvelope;
  const params = [...route.url.matchAll(/:(\w+)/g)].map(([, name]) => name as string);
  return {
    tags: [tag],
    summary,
    ...(description !== undefined && { description }),
    ...(isPublic ? {} : { security: [{ key: [] }] }),
    ...(params.length > 0 && {
      params: z.toJSONSchema(z.object(Object.fromEntries(params.map((name) => [name, z.string()])))),
    }),
    ...(query !== undefined && { querystring: jsonSchema(query, 'input') }),
    ...(headers !== undefined && { headers: jsonSchema(headers, 'input') }),
    ...(body !== undefined && { body: jsonSchema(body, 'input') }),
    ...(form !== undefined && { body: jsonSchema(form, 'input'), consumes: ['multipart/form-data'] }),
    response: {
      200: answerOf(answer),
      ...Object.fromEntries(
        [...commonErrors(route), ...errors].map((status) => [status, errorOf(status, envelope)]),
      ),
    },
  };
}

function commonErrors({ url, config }: RouteOptions): readonly number[] {
  if (config?.public === true) return [];
  return url.startsWith('/v1/admin/') ? ADMIN_ERRORS : COMMON_ERRORS;
}

function answerOf(answer: Operation['answer']): object {
  if (!('type' in answer) || answer instanceof z.ZodType) {
    return { description: 'Success', ...jsonSchema(answer as z.ZodType, 'output') };
  }
  return {
    description: 'Success',
    content: { [answer.type]: { schema: jsonSchema(answer.schema, 'output') } },
  };
}

function errorOf(status: number, envelope: z.ZodType): object {
  return { description: MEANINGS[status] ?? 'Refused', ...jsonSchema(envelope, 'output') };
}

function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): object {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
  return rest;
}
