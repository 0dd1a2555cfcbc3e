/** The objects that this service answers, as strict schemas: every key is always there, and no other. */
import { z } from 'zod';
import { BATCH_STATUSES } from '../../engine/index.ts';

/** Unix seconds. */
const seconds = z.int().min(1_000_000_000).max(10_000_000_000);

export const fileObject = z.strictObject({
  object: z.literal('file'),
  id: z.string().regex(/^file-[A-Za-z0-9]{22,}$/),
  purpose: z.enum(['assistants', 'batch', 'batch_output', 'fine-tune', 'vision', 'user_data', 'evals']),
  filename: z.string(),
  bytes: z.int().min(0),
  created_at: seconds,
  expires_at: seconds.nullable(),
  status: z.literal('processed'),
  status_details: z.null(),
});

/** The bytes of a file, which JSON Schema cannot describe further. */
export const bytes = z.string().meta({ format: 'binary' });

export const uploadObject = z.strictObject({
  id: z.string().startsWith('upload_'),
  object: z.literal('upload'),
  bytes: z.int().min(0),
  created_at: seconds,
  filename: z.string(),
  purpose: z.string(),
  status: z.enum(['pending', 'completed', 'cancelled', 'expired']),
  expires_at: seconds,
  file: fileObject.nullable(),
});

export const uploadPartObject = z.strictObject({
  id: z.string().startsWith('part_'),
  object: z.literal('upload.part'),
  created_at: seconds,
  upload_id: z.string(),
});

export const usageObject = z.strictObject({
  input_tokens: z.int().min(0),
  input_tokens_details: z.strictObject({ cached_tokens: z.int().min(0) }),
  output_tokens: z.int().min(0),
  output_tokens_details: z.strictObject({ reasoning_tokens: z.int().min(0) }),
  total_tokens: z.int().min(0),
});

export const batchErrorObject = z.strictObject({
  code: z.string(),
  message: z.string(),
  param: z.string().nullable(),
  line: z.int().min(1).nullable(),
});

export const requestCounts = z.strictObject({
  total: z.int().min(0),
  completed: z.int().min(0),
  failed: z.int().min(0),
});

export const batchObject = z.strictObject({
  id: z.string().regex(/^batch_[0-9a-f]{32}$/),
  object: z.literal('batch'),
  endpoint: z.string().startsWith('/v1/'),
  model: z.string().nullable(),
  errors: z.strictObject({ object: z.literal('list'), data: z.array(batchErrorObject).min(1) }).nullable(),
  input_file_id: z.string(),
  completion_window: z.string(),
  status: z.enum(BATCH_STATUSES),
  output_file_id: z.string().nullable(),
  error_file_id: z.string().nullable(),
  created_at: seconds,
  in_progress_at: seconds.nullable(),
  expires_at: seconds,
  finalizing_at: seconds.nullable(),
  completed_at: seconds.nullable(),
  failed_at: seconds.nullable(),
  expired_at: seconds.nullable(),
  cancelling_at: seconds.nullable(),
  cancelled_at: seconds.nullable(),
  request_counts: requestCounts,
  usage: usageObject,
  metadata: z.record(z.string(), z.string()).nullable(),
  priority: z.int().min(-100).max(100).optional(),
  webhook_url: z.string().optional(),
});

export const deletedFile = z.strictObject({
  object: z.literal('file'),
  id: z.string(),
  deleted: z.literal(true),
});

/** The envelope of a list of these objects. */
export const listOf = (item: z.ZodType) =>
  z.strictObject({
    object: z.literal('list'),
    data: z.array(item),
    first_id: z.string().nullable(),
    last_id: z.string().nullable(),
    has_more: z.boolean(),
  });

export const errorEnvelope = z.strictObject({
  error: z.strictObject({
    message: z.string().min(1),
    type: z.enum(['invalid_request_error', 'rate_limit_error', 'server_error']),
    param: z.string().nullable(),
    code: z.string().nullable(),
  }),
});

/** What a batch over a file would meet. */
export const validationObject = z.strictObject({
  object: z.literal('batch.validation'),
  valid: z.boolean(),
  errors: batchObject.shape.errors,
  request_counts: z.strictObject({ total: z.int().min(0) }),
  bytes: z.int().min(0),
  models: z.array(z.strictObject({ model: z.string(), requests: z.int().min(1) })),
  more_models: z.int().min(1).optional(),
  token_estimate: z
    .strictObject({
      method: z.string(),
      sampled_requests: z.int().min(0),
      input_tokens: z.int().min(0),
      is_estimate: z.literal(true),
    })
    .nullable(),
});

/** A line of a result file. */
export const resultLine = z.strictObject({
  id: z.string().regex(/^batch_req_[0-9a-f]{32}$/),
  custom_id: z.string(),
  response: z
    .strictObject({ status_code: z.int(), request_id: z.string().min(1), body: z.unknown() })
    .nullable(),
  error: z.strictObject({ code: z.string(), message: z.string() }).nullable(),
});

export const keyObject = z.strictObject({
  object: z.literal('api_key'),
  id: z.string().regex(/^key_[0-9a-f]{32}$/),
  name: z.string(),
  owner: z.string(),
  hint: z.string(),
  created_at: seconds,
  expires_at: seconds.nullable(),
  revoked_at: seconds.nullable(),
  last_used_at: seconds.nullable(),
  models: z.array(z.string()).nullable(),
  endpoints: z.array(z.string()).nullable(),
  requests_per_minute: z.int().min(1).nullable(),
});

const ownerLimits = z.strictObject({
  requests_per_minute: z.int().min(1).nullable(),
  max_stored_bytes: z.int().min(0).nullable(),
  max_queued_lines: z.int().min(0).nullable(),
  max_live_batches: z.int().min(0).nullable(),
});

export const ownerObject = z.strictObject({
  object: z.literal('owner'),
  id: z.string(),
  weight: z.int().min(1).max(1000),
  ...ownerLimits.shape,
  limits: ownerLimits,
  usage: z.strictObject({
    stored_bytes: z.int().min(0),
    queued_lines: z.int().min(0),
    live_batches: z.int().min(0),
  }),
});

export const secretKeyObject = keyObject.extend({ key: z.string().startsWith('sk-') });

export const endpointObject = z.strictObject({
  id: z.string().regex(/^whe_[0-9a-f]{32}$/),
  object: z.literal('webhook_endpoint'),
  name: z.string(),
  url: z.string(),
  event_types: z.array(z.string()).min(1),
  created_at: seconds,
  updated_at: seconds,
  signing_secret_hint: z.string(),
  status: z.enum(['enabled', 'disabled']),
  disabled_reason: z.enum(['gone', 'failing']).nullable(),
});

export const secretEndpointObject = endpointObject.extend({
  signing_secret: z.string().startsWith('whsec_'),
});

export const webhookDeliveryObject = z.strictObject({
  id: z.string(),
  object: z.literal('webhook_delivery'),
  event_id: z.string(),
  event_type: z.string(),
  batch_id: z.string(),
  created_at: seconds,
  status: z.enum(['pending', 'delivered', 'failed']),
  attempts: z.int().min(0),
  next_attempt_at: seconds.nullable(),
  last_attempt_at: seconds.nullable(),
  last_status_code: z.int().nullable(),
  last_duration_ms: z.number().nullable(),
  last_response: z.string().nullable(),
  last_error: z.string().nullable(),
});

const time = z.iso.datetime();

export const messageBatchObject = z.strictObject({
  id: z.string().regex(/^msgbatch_[0-9a-f]{32}$/),
  type: z.literal('message_batch'),
  processing_status: z.enum(['in_progress', 'canceling', 'ended']),
  request_counts: z.strictObject({
    processing: z.int().min(0),
    succeeded: z.int().min(0),
    errored: z.int().min(0),
    canceled: z.int().min(0),
    expired: z.int().min(0),
  }),
  created_at: time,
  ended_at: time.nullable(),
  expires_at: time,
  cancel_initiated_at: time.nullable(),
  archived_at: time.nullable(),
  results_url: z.string().nullable(),
});

/** The envelope of errors below `/v1/messages`. */
export const messageErrorEnvelope = z.strictObject({
  type: z.literal('error'),
  error: z.strictObject({ type: z.string(), message: z.string() }),
  request_id: z.string().nullable(),
});
