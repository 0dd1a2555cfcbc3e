/**
 * The shapes of the service's answers, compared with the official SDKs' types: TypeScript wants each key of these, so that a new
 * version of the SDK with another shape does not compile here.
 */
import type Anthropic from '@anthropic-ai/sdk';
import type OpenAI from 'openai';
import { z } from 'zod';
import {
  batchErrorObject,
  batchObject,
  deletedFile,
  endpointObject,
  errorEnvelope,
  fileObject,
  keyObject,
  listOf,
  messageBatchObject,
  messageErrorEnvelope,
  requestCounts,
  resultLine,
  secretEndpointObject,
  secretKeyObject,
  uploadObject,
  uploadPartObject,
  usageObject,
  validationObject,
  webhookDeliveryObject,
} from '../../src/http/openapi/objects.ts';

type Keys<T> = Record<keyof Required<T>, z.ZodType>;

fileObject.shape satisfies Keys<OpenAI.FileObject>;
deletedFile.shape satisfies Keys<OpenAI.FileDeleted>;
batchObject.shape satisfies Keys<OpenAI.Batch>;
batchErrorObject.shape satisfies Keys<OpenAI.BatchError>;
usageObject.shape satisfies Keys<OpenAI.BatchUsage>;
requestCounts.shape satisfies Keys<OpenAI.BatchRequestCounts>;
batchObject.shape.status.options satisfies OpenAI.Batch['status'][];
uploadObject.shape satisfies Keys<OpenAI.Upload>;
uploadObject.shape.status.options satisfies OpenAI.Upload['status'][];
uploadPartObject.shape satisfies Keys<OpenAI.Uploads.UploadPart>;
endpointObject.shape satisfies Keys<OpenAI.Webhooks.WebhookEndpoint>;
secretEndpointObject.shape satisfies Keys<OpenAI.Webhooks.WebhookEndpointWithSecret>;

type MessageBatch = Anthropic.Messages.Batches.MessageBatch;
messageBatchObject.shape satisfies Keys<MessageBatch>;
messageBatchObject.shape.request_counts
  .shape satisfies Keys<Anthropic.Messages.Batches.MessageBatchRequestCounts>;
messageBatchObject.shape.processing_status.options satisfies MessageBatch['processing_status'][];
messageErrorEnvelope.shape satisfies Keys<Anthropic.ErrorResponse>;

export const deletedMessageBatch = z.strictObject({
  id: z.string().regex(/^msgbatch_[0-9a-f]{32}$/),
  type: z.literal('message_batch_deleted'),
});
deletedMessageBatch.shape satisfies Keys<Anthropic.Messages.Batches.DeletedMessageBatch>;

const messageResults = {
  succeeded: z.strictObject({ type: z.literal('succeeded'), message: z.looseObject({ type: z.string() }) }),
  errored: z.strictObject({ type: z.literal('errored'), error: messageErrorEnvelope }),
  canceled: z.strictObject({ type: z.literal('canceled') }),
  expired: z.strictObject({ type: z.literal('expired') }),
};
messageResults satisfies Record<Anthropic.Messages.Batches.MessageBatchResult['type'], z.ZodType>;
messageResults.succeeded.shape satisfies Keys<Anthropic.Messages.Batches.MessageBatchSucceededResult>;
messageResults.errored.shape satisfies Keys<Anthropic.Messages.Batches.MessageBatchErroredResult>;

/** A line of the results of a Message Batch. */
export const messageResultLine = z.strictObject({
  custom_id: z.string(),
  result: z.discriminatedUnion('type', [
    messageResults.succeeded,
    messageResults.errored,
    messageResults.canceled,
    messageResults.expired,
  ]),
});
messageResultLine.shape satisfies Keys<Anthropic.Messages.Batches.MessageBatchIndividualResponse>;

/** The keys of the official object, in order; what this service adds comes after them, and only where it is used. */
export const BATCH_KEYS = Object.keys(batchObject.shape).filter(
  (key) => !/^(priority|webhook_url)$/.test(key),
);

export {
  batchObject,
  deletedFile,
  endpointObject,
  errorEnvelope,
  fileObject,
  keyObject,
  listOf,
  messageBatchObject,
  messageErrorEnvelope,
  resultLine,
  secretEndpointObject,
  secretKeyObject,
  uploadObject,
  uploadPartObject,
  validationObject,
  webhookDeliveryObject,
};
