/** The multipart form of a part: its bytes stream into the engine while the form is still arriving. */
import type { Multipart, MultipartFile } from '@fastify/multipart';
import type { FastifyRequest } from 'fastify';
import { EngineError, MAX_PART_BYTES, partTooLarge } from '../../engine/index.ts';
import type { Engine, ReceivedPart, UploadPart } from '../../engine/index.ts';
import { checkFormType, FORM_SLACK_BYTES, readFilePart, readParts } from './upload.ts';

/** Refuses, before any of the body is read, what cannot become a part. */
export function checkPartHeaders(request: FastifyRequest): void {
  checkFormType(request, 'part');
  const length = Number(request.headers['content-length'] ?? 0);
  if (length > MAX_PART_BYTES + FORM_SLACK_BYTES) throw partTooLarge(`the request has ${length} bytes`);
}

/** Receives the form and stores its part. Other fields than `data` are ignored. Nothing is left behind where it rejects. */
export async function receivePartForm(
  request: FastifyRequest,
  engine: Engine,
  uploadId: string,
): Promise<UploadPart> {
  let received: ReceivedPart | null = null;
  try {
    for await (const piece of readParts(request)) {
      if (!isData(piece, received !== null)) continue;
      const upload = { owner: request.owner, id: uploadId };
      received = await engine.uploads.receivePart(upload, readFilePart(piece));
    }
    if (received === null) throw missingData();
  } catch (error) {
    await received?.discard();
    throw error;
  }
  return await received.store();
}

/** True for the file `data`, false for fields that are ignored; throws where the form is not that of one part. */
function isData(piece: Multipart, isSecond: boolean): piece is MultipartFile {
  if (piece.type === 'field') {
    if (piece.fieldname !== 'data') return false;
    throw new EngineError(
      'invalid_type',
      "Invalid type for 'data': expected a file, but got a string instead.",
      { param: 'data' },
    );
  }
  if (piece.fieldname !== 'data') {
    throw missingData(` The form has a file in the part '${piece.fieldname}' instead.`);
  }
  if (!isSecond) return true;
  throw new EngineError('invalid_value', "Invalid 'data': the form has more than one file.", {
    param: 'data',
  });
}

function missingData(hint = ''): EngineError {
  return new EngineError('missing_parameter', `Missing required parameter: 'data'.${hint}`, {
    param: 'data',
  });
}
