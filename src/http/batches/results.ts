/** `/v1/batches/{id}/results`: the finished lines, also while the batch runs. */
import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { Engine, FinishedLines } from '../../engine/index.ts';
import { parseInput } from '../validate.ts';
import { listResultsQuery } from '../wire.ts';

/** As large as the buffers of the engine: one of them is read ahead. */
const BUFFER_BYTES = 64 * 1024;

interface ById {
  readonly Params: { readonly id: string };
}

/** Streams result lines. While the batch runs, `x-incomplete: true` and `x-next-after` say that and how there will be more. */
export async function resultRoutes(
  app: FastifyInstance,
  { engine }: { readonly engine: Engine },
): Promise<void> {
  app.route<ById>({
    method: 'GET',
    exposeHeadRoute: false,
    url: '/v1/batches/:id/results',
    handler: async (request, reply) => {
      const { status: outcome, after } = parseInput(listResultsQuery, request.query);
      const { owner, params } = request;
      return sendLines(await engine.batches.openLines({ owner, id: params.id, outcome, after }), reply);
    },
  });
}

function sendLines(lines: FinishedLines, reply: FastifyReply): FastifyReply {
  reply.type('application/jsonl');
  if (!lines.isComplete) reply.header('x-incomplete', 'true');
  if (lines.next !== null) reply.header('x-next-after', lines.next);
  const stream = Readable.from(lines.bytes, { objectMode: false, highWaterMark: BUFFER_BYTES });
  // However it ends: a client may leave before the first byte is read.
  stream.once('close', () => void lines.close());
  return reply.send(stream);
}
