/** The multipart form of an upload: its file streams into the engine while the form is still arriving. */
import type { Multipart, MultipartFile } from '@fastify/multipart';
import type { FastifyRequest } from 'fastify';
import { EngineError } from '../../engine/index.ts';
import type { Engine, FileRecord, ReceivedUpload, StoreUploadOptions } from '../../engine/index.ts';
import { HttpError } from '../errors.ts';
import { cleanFilename } from './filename.ts';
import { parseInput } from '../validate.ts';
import { uploadForm } from '../wire.ts';

/** A form may be this much larger than its file: fields, part headers and boundaries. */
export const FORM_SLACK_BYTES = 1024 * 1024;

/** Limits of a form. Unknown fields are ignored, but not without number. */
export const FORM_LIMITS = {
  fields: 32,
  /** A second file is refused by name, so the parser must let it appear. */
  files: 2,
  parts: 34,
  /** Bytes. */
  fieldSize: 16 * 1024,
  headerSize: 16 * 1024,
  headerPairs: 32,
  // The engine knows the limit of a file; a lower one here would cut the bytes off in silence.
  fileSize: Infinity,
};

/** Refuses, before any of the body is read, what cannot become an upload. */
export async function checkUploadHeaders(request: FastifyRequest, engine: Engine): Promise<void> {
  const { maxFileBytes } = engine.context.settings;
  checkFormType(request, 'file');
  const length = Number(request.headers['content-length'] ?? 0);
  if (length > maxFileBytes + FORM_SLACK_BYTES) {
    throw new EngineError(
      'too_large',
      `The file is larger than the limit of ${maxFileBytes} bytes (the request has ${length} bytes).`,
      { param: 'file' },
    );
  }
  await engine.owners.checkRoom(request.owner, { storedBytes: length - FORM_SLACK_BYTES });
}

/** Refuses what is no form; `what` it was to hold. */
export function checkFormType(request: FastifyRequest, what: 'file' | 'part'): void {
  if (!/^multipart\/form-data(?:;|$)/i.test(request.headers['content-type'] ?? '')) {
    throw new HttpError(
      400,
      `Send the ${what} as a form, with the header Content-Type: multipart/form-data.`,
    );
  }
  // The parser would take every line that begins with two dashes for a boundary, and cut the file there.
  if (/;\s*boundary=(?:""|\s*(?:;|$))/i.test(request.headers['content-type'] ?? '')) {
    throw new HttpError(400, 'The form has an empty boundary in its Content-Type.');
  }
}

/** Receives the form and makes its file. Parts may come in any order. Nothing is left behind where it rejects. */
export async function receiveUploadForm(request: FastifyRequest, engine: Engine): Promise<FileRecord> {
  const { upload, options } = await receiveForm(request, engine);
  return await upload.store(options);
}

/** The file's bytes and what the fields say of it, checked. Discards the bytes where it rejects. */
async function receiveForm(
  request: FastifyRequest,
  engine: Engine,
): Promise<{ readonly upload: ReceivedUpload; readonly options: StoreUploadOptions }> {
  const { owner } = request;
  const form: ReceivedForm = { fields: new Map(), file: null };
  try {
    for await (const part of readParts(request)) await receivePart(part, form, { engine, owner });
    if (form.file === null) throw missingFile();
    const { upload, filename } = form.file;
    return { upload, options: { owner, filename, ...readFields(form.fields) } };
  } catch (error) {
    await form.file?.upload.discard();
    throw error;
  }
}

interface ReceivedForm {
  readonly fields: Map<string, unknown>;
  file: { readonly filename: string; readonly upload: ReceivedUpload } | null;
}

async function receivePart(
  part: Multipart,
  form: ReceivedForm,
  { engine, owner }: { readonly engine: Engine; readonly owner: string },
): Promise<void> {
  if (part.type === 'file') {
    checkFilePart(part, form);
    const upload = await engine.files.receive(readFilePart(part), { owner });
    form.file = { filename: cleanFilename(part.filename), upload };
    return;
  }
  if (part.fieldname === 'file') {
    throw new EngineError(
      'invalid_type',
      "Invalid type for 'file': expected a file, but got a string instead.",
      {
        param: 'file',
      },
    );
  }
  if (part.valueTruncated) {
    throw new EngineError(
      'string_too_long',
      `Invalid '${part.fieldname}': string too long. Expected a field with at most ${FORM_LIMITS.fieldSize} bytes.`,
      { param: part.fieldname },
    );
  }
  form.fields.set(part.fieldname, part.value);
}

function checkFilePart(part: MultipartFile, form: ReceivedForm): void {
  if (part.fieldname !== 'file') {
    throw missingFile(` The form has a file in the part '${part.fieldname}' instead.`);
  }
  if (form.file !== null) {
    throw new EngineError('invalid_value', "Invalid 'file': the form has more than one file.", {
      param: 'file',
    });
  }
}

function missingFile(hint = ''): EngineError {
  return new EngineError('missing_parameter', `Missing required parameter: 'file'.${hint}`, {
    param: 'file',
  });
}

function readFields(fields: ReadonlyMap<string, unknown>): Omit<StoreUploadOptions, 'owner' | 'filename'> {
  const { purpose, expires_after: expiresAfter } = parseInput(uploadForm, {
    purpose: fields.get('purpose'),
    expires_after: readExpiresAfter(fields),
  });
  return { purpose, expiresAfterSeconds: expiresAfter?.seconds };
}

/** Most clients write `expires_after[seconds]`, some `expires_after.seconds`. */
function readExpiresAfter(fields: ReadonlyMap<string, unknown>): object | undefined {
  const member = (name: string) =>
    fields.get(`expires_after[${name}]`) ?? fields.get(`expires_after.${name}`);
  const [anchor, seconds] = [member('anchor'), member('seconds')];
  return anchor === undefined && seconds === undefined ? undefined : { anchor, seconds };
}

/** The form's parts; what is wrong with the form itself becomes a refusal. */
export async function* readParts(request: FastifyRequest): AsyncGenerator<Multipart, void, undefined> {
  const parts = request.parts();
  for (;;) {
    const next = await parts.next().catch(rethrowAsRefusal);
    if (next.done === true) return;
    yield next.value;
  }
}

/** The bytes of a file in a form; what is wrong with the form becomes a refusal. */
export async function* readFilePart(part: MultipartFile): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* part.file as AsyncIterable<Uint8Array>;
  } catch (cause) {
    rethrowAsRefusal(cause);
  }
}

const FORM_FAULTS: Readonly<Record<string, string>> = {
  FST_PARTS_LIMIT: `The form has more than ${FORM_LIMITS.parts} parts.`,
  FST_FIELDS_LIMIT: `The form has more than ${FORM_LIMITS.fields} fields.`,
  FST_FILES_LIMIT: 'The form has more than one file.',
  FST_PROTO_VIOLATION: 'The form has a field whose name is not allowed.',
  FST_INVALID_JSON_FIELD_ERROR: 'The form has a field that is declared to be JSON and is not.',
};

function rethrowAsRefusal(cause: unknown): never {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  const message = FORM_FAULTS[code] ?? 'The form is malformed or ended too early.';
  throw new HttpError(400, message, { cause });
}
