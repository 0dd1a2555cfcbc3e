/**
 * The shapes of the service's answers, compared with the official SDK's types: TypeScript wants each key of these, so that a new
 * version of the SDK with another shape does not compile here.
 */
import type OpenAI from 'openai';
import type { z } from 'zod';
import {
  batchErrorObject,
  batchObject,
  deletedFile,
  endpointObject,
  errorEnvelope,
  fileObject,
  keyObject,
  listOf,
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
  resultLine,
  secretEndpointObject,
  secretKeyObject,
  uploadObject,
  uploadPartObject,
  validationObject,
  webhookDeliveryObject,
};
