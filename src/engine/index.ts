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
export { validateJsonl } from './validate.ts';
export type { ValidationResult, ValidationRules, ValidLine } from './validate.ts';

// Files and batches
export { UPLOAD_PURPOSES } from './file.ts';
export type { BlobRef, FilePurpose, FileRecord } from './file.ts';
export type { ListFilesRequest, ReceivedUpload, ReceiveOptions, StoreUploadOptions } from './files.ts';
export { MAX_PART_BYTES } from './upload.ts';
export type { UploadPart, UploadRecord, UploadStatus } from './upload.ts';
export type { CompletedUpload, CompleteUploadRequest } from './complete-upload.ts';
export { partTooLarge } from './uploads.ts';
export type { CreateUploadRequest, ReceivedPart } from './uploads.ts';
export { clientBatchId, fromMessageBatchId, MESSAGES_ENDPOINT } from './batch-format.ts';
export { BATCH_STATUSES, isTerminal, parseCompletionWindow } from './batch.ts';
export type { Batch, BatchError, BatchFormat, BatchStatus, RequestCounts, Usage } from './batch.ts';
export type { CreateBatchRequest, ListBatchesRequest } from './batches.ts';
export type { ApiKey, KeyRestrictions } from './api-key.ts';
export type { CreateApiKeyRequest, ListApiKeysRequest, RotateApiKeyRequest, SecretKey } from './api-keys.ts';
export { MAX_REQUESTS_PER_MINUTE } from './owner.ts';
export type { Inserted, OverLimit, Owner, OwnerChanges, OwnerLimits, OwnerUsage } from './owner.ts';
export type { OwnerStatus, OwnerVerbs } from './owners.ts';
export type { RetryBatchRequest } from './retry-batch.ts';
export type { SubmittedBatch, SubmitUploadRequest } from './submit.ts';
export type { CheckInputRequest, InputCheck } from './check-input.ts';
export type { TokenEstimate } from './token-estimate.ts';
export type { LineOutcome } from './outcomes.ts';
export type { BatchNews, StartedWatch, WatchRequest } from './batch-watch.ts';
export type { FinishedLines, FinishedLinesRequest } from './finished-lines.ts';
export type { LiveStore, LoggedSegment } from './live-store.ts';
export type { Delivery, DeliveryTarget, EventRecord, EventType, NewEvent } from './event.ts';
export { EVENT_TYPES } from './event.ts';
export type {
  DeliveryRecord,
  DisabledReason,
  WebhookEndpoint,
  WebhookEndpointChanges,
} from './webhook-endpoint.ts';
export type { WebhookEndpointVerbs } from './webhook-endpoint-verbs.ts';
export { quotedList } from './values.ts';

// Ports, for one's own adapters
export type * from './ports.ts';
export { readPromptText } from './prompt-text.ts';
export type { PromptText } from './prompt-text.ts';
export type * from './upload-store.ts';
export { createClaimRoom } from './claim-room.ts';
export type { ClaimRoom, HeldChunks } from './claim-room.ts';
export { createShareOut } from './delivery-share.ts';
export type { DeliveryShare } from './delivery-share.ts';
export * from './chunk.ts';
export { canTransition } from './batch.ts';
export {
  changeEndpoint,
  ENDED_BY_DISABLING,
  isFreshStart,
  judgeEndpoint,
  secretHintOf,
} from './webhook-endpoint.ts';
export type { EndpointHealth } from './webhook-endpoint.ts';

// Steps, for workers
export { ChunkRun } from './chunk-run.ts';
export type { Line, Suspicion } from './chunk-run.ts';
export { createCommitter } from './commit.ts';
export type { Committer } from './commit.ts';
export { attemptDelivery } from './deliver.ts';
export { finalizeBatch } from './finalize.ts';
export { removeExpiredFiles, removeExpiredUploads, sweepLeftovers } from './janitor.ts';
export { prepareBatch } from './prepare.ts';
export { failedResult, judgeAttempt } from './run.ts';
export type { Verdict } from './run.ts';
