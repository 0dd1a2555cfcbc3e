/** `POST /v1/batches/validate`: what a batch over a file would meet, without running it. */
import type { FastifyInstance } from 'fastify';
import type { Engine, InputCheck } from '../../engine/index.ts';
import { readJsonBodies } from '../body.ts';
import { signalOf } from '../client-signal.ts';
import { createGate } from '../gate.ts';
import { parseBody } from '../validate.ts';
import { toErrorsObject, validateBatchBody } from '../wire.ts';

/** Each reads a whole file and looks at all of it, beside the batches that run. */
const MAX_VALIDATIONS_AT_A_TIME = 2;
/** Models that are listed; a file may name as many as it has lines. */
const MAX_MODELS = 100;
/** A name may be as long as a line. */
const MAX_NAME_CHARACTERS = 200;

/** Checks input files. */
export async function validationRoutes(
  scope: FastifyInstance,
  { engine }: { readonly engine: Engine },
): Promise<void> {
  readJsonBodies(scope);
  const gate = createGate({ max: MAX_VALIDATIONS_AT_A_TIME, what: 'validations' });
  scope.post('/v1/batches/validate', async (request, reply) => {
    const body = parseBody(validateBatchBody, request);
    const check = {
      owner: request.owner,
      inputFileId: body.input_file_id,
      endpoint: body.endpoint,
      allowedModels: request.caller.key?.models ?? null,
      signal: signalOf(reply),
    };
    return toValidationObject(await gate(() => engine.batches.checkInput(check)));
  });
}

function toValidationObject(check: InputCheck) {
  const { errors, lines, bytes, models, tokenEstimate } = check;
  const byRequests = [...models].toSorted(([, a], [, b]) => b - a);
  const more = byRequests.length - MAX_MODELS;
  return {
    object: 'batch.validation',
    valid: errors.length === 0,
    errors: errors.length === 0 ? null : toErrorsObject(errors),
    request_counts: { total: lines },
    bytes,
    models: byRequests
      .slice(0, MAX_MODELS)
      .map(([model, requests]) => ({ model: shortened(model), requests })),
    ...(more > 0 ? { more_models: more } : {}),
    token_estimate: tokenEstimate && {
      method: tokenEstimate.method,
      sampled_requests: tokenEstimate.sampledRequests,
      input_tokens: tokenEstimate.inputTokens,
      is_estimate: true,
    },
  };
}

function shortened(name: string): string {
  return name.length <= MAX_NAME_CHARACTERS ? name : `${name.slice(0, MAX_NAME_CHARACTERS)}…`;
}
