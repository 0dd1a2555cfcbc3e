/** The header `Idempotency-Key`: what makes a create repeatable. */
import { hash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { IdempotencyKey, SubmittedBatch } from '../../engine/index.ts';
import { pathOf } from '../observe.ts';
import { toBatchObject } from '../wire.ts';

/**
 * The request's key and the fingerprint of what it asks for, or null where it has none. `values`: the parameters of its
 * body, of which the order does not matter.
 */
export function idempotencyKeyOf(request: FastifyRequest, values: object): IdempotencyKey | null {
  const key = request.headers['idempotency-key'];
  if (key === undefined) return null;
  const asked = JSON.stringify([pathOf(request), request.owner, canonical(values)]);
  return { key: String(key), fingerprint: hash('sha256', asked) };
}

/** The same for values that are equal but for the order of members. */
function canonical(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(canonical);
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  return {
    members: members
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, member]) => [name, canonical(member)]),
  };
}

/** The Batch object, and the header that says that it was created before. */
export function sendSubmitted(reply: FastifyReply, { batch, replayed }: SubmittedBatch) {
  if (replayed) reply.header('idempotent-replayed', 'true');
  return toBatchObject(batch);
}
