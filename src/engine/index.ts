/**
 * The engine of a Batch API, without HTTP: files, batches, and the steps that workers drive. This is what other
 * programs import (`anyllm-batch/engine`); the rest of `engine/` is not for them.
 */
export { createEngine } from './engine.ts';
export type { Engine, EngineParts } from './engine.ts';
export { DEFAULT_SETTINGS } from './context.ts';
export type { EngineContext, EngineSettings } from './context.ts';
export { BlobMissingError, EngineError, storageError } from './errors.ts';
export type { EngineErrorCode } from './errors.ts';
export { systemClock } from './clock.ts';

// Validating JSONL before accepting it
export { validateJsonl } from './input/validate.ts';
export type { ValidationResult, ValidationRules, ValidLine } from './input/validate.ts';

// Files and batches
export { UPLOAD_PURPOSES } from './files/file.ts';
export type { BlobRef, FilePurpose, FileRecord } from './files/file.ts';
export type { ListFilesRequest, ReceivedUpload, ReceiveOptions, StoreUploadOptions } from './files/files.ts';
export { MAX_PART_BYTES } from './files/upload.ts';
export type { UploadPart, UploadRecord, UploadStatus } from './files/upload.ts';
export type { CompletedUpload, CompleteUploadRequest } from './files/complete-upload.ts';
export { partTooLarge } from './files/uploads.ts';
export type { CreateUploadRequest, ReceivedPart } from './files/uploads.ts';
export { clientBatchId, fromMessageBatchId, MESSAGES_ENDPOINT } from './batches/batch-format.ts';
export { BATCH_STATUSES, isTerminal, parseCompletionWindow } from './batches/batch.ts';
export type { Batch, BatchError, BatchFormat, BatchStatus, RequestCounts, Usage } from './batches/batch.ts';
export type { CreateBatchRequest, ListBatchesRequest } from './batches/batches.ts';
export type { ApiKey, KeyRestrictions } from './owners/api-key.ts';
export type {
  CreateApiKeyRequest,
  ListApiKeysRequest,
  RotateApiKeyRequest,
  SecretKey,
} from './owners/api-keys.ts';
export { MAX_REQUESTS_PER_MINUTE } from './owners/owner.ts';
export type { Inserted, OverLimit, Owner, OwnerChanges, OwnerLimits, OwnerUsage } from './owners/owner.ts';
export type { OwnerStatus, OwnerVerbs } from './owners/owners.ts';
export type { RetryBatchRequest } from './batches/retry-batch.ts';
export type { SubmittedBatch, SubmitUploadRequest } from './batches/submit.ts';
export type { CheckInputRequest, InputCheck } from './input/check-input.ts';
export type { TokenEstimate } from './tokens/token-estimate.ts';
export type { LineOutcome } from './run/outcomes.ts';
export type { BatchNews, StartedWatch, WatchRequest } from './batches/batch-watch.ts';
export type { FinishedLines, FinishedLinesRequest } from './batches/finished-lines.ts';
export type { LiveStore, LoggedSegment } from './batches/live-store.ts';
export type { Delivery, DeliveryTarget, EventRecord, EventType, NewEvent } from './webhooks/event.ts';
export { EVENT_TYPES } from './webhooks/event.ts';
export type {
  DeliveryRecord,
  DisabledReason,
  WebhookEndpoint,
  WebhookEndpointChanges,
} from './webhooks/webhook-endpoint.ts';
export type { WebhookEndpointVerbs } from './webhooks/webhook-endpoint-verbs.ts';
export { quotedList } from './values.ts';

// Ports, for one's own adapters
export type * from './ports.ts';
export { readPromptText } from './tokens/prompt-text.ts';
export type { PromptText } from './tokens/prompt-text.ts';
export type * from './files/upload-store.ts';
export { createClaimRoom } from './run/claim-room.ts';
export type { ClaimRoom, HeldChunks } from './run/claim-room.ts';
export { shareSlots, soleLease } from './run/model-share.ts';
export type { ModelDemand, ModelSlots, SlotHolder, SlotShare, WorkerLease } from './run/model-share.ts';
export { createShareOut } from './webhooks/delivery-share.ts';
export type { DeliveryShare } from './webhooks/delivery-share.ts';
export * from './run/chunk.ts';
export { canTransition } from './batches/batch.ts';
export {
  changeEndpoint,
  ENDED_BY_DISABLING,
  isFreshStart,
  judgeEndpoint,
  secretHintOf,
} from './webhooks/webhook-endpoint.ts';
export type { EndpointHealth } from './webhooks/webhook-endpoint.ts';

// Steps, for workers
export { ChunkRun } from './run/chunk-run.ts';
export type { Line, Suspicion } from './run/chunk-run.ts';
export { createCommitter } from './run/commit.ts';
export type { Committer } from './run/commit.ts';
export { attemptDelivery } from './webhooks/deliver.ts';
export { finalizeBatch } from './run/finalize.ts';
export { removeExpiredFiles, removeExpiredUploads, sweepLeftovers } from './janitor.ts';
export { prepareBatch } from './input/prepare.ts';
export { failedResult, judgeAttempt } from './run/run.ts';
export type { Verdict } from './run/run.ts';
