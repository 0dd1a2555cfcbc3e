/** Many blobs become one: read once, written once. */
import { createHash } from 'node:crypto';
import type { EngineContext } from '../context.ts';
import type { BlobRef } from './file.ts';
import { discard } from './files.ts';
import { createFirstLineLook } from './first-line.ts';
import type { FirstLine } from './first-line.ts';

/** The parts as one. `publish` or `discard` ends it. */
export interface JoinedParts {
  readonly blob: BlobRef;
  readonly firstLine: FirstLine;
  /** 32 lower-case hex digits; null where nobody asked for it. */
  readonly md5: string | null;
  /** Makes the blob readable, durably. */
  publish(): Promise<void>;
  /** Never rejects; safe at any time, also after `publish`. */
  discard(): Promise<void>;
}

export interface JoinOptions {
  /** In their order. */
  readonly parts: readonly BlobRef[];
  /** Whether to compute it. */
  readonly md5: boolean;
  /** Rejects with its reason where it aborts. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Joins published blobs to a new one. The key of a blob may be the hash of all of it, and parts come in any order, so they
 * must be read once more; they are copied by the way, for only so do they stay whole until the new blob is. A single
 * part is the whole already. Where it rejects, nothing is left behind.
 */
export async function joinParts(ctx: EngineContext, options: JoinOptions): Promise<JoinedParts> {
  const { parts, signal } = options;
  const [single] = parts.length === 1 ? parts : [];
  const writer = single === undefined ? await ctx.blobs.create() : null;
  const hash = options.md5 ? createHash('md5') : null;
  const look = createFirstLineLook();
  const discardAll = async (): Promise<void> => {
    if (writer !== null) await discard(ctx, writer);
  };

  try {
    for (const part of parts) {
      for await (const bytes of ctx.blobs.read(part.key)) {
        signal?.throwIfAborted();
        look.push(bytes);
        hash?.update(bytes);
        await writer?.write(bytes);
      }
    }
    return {
      blob: (await writer?.seal()) ?? (single as BlobRef),
      firstLine: look.finish(),
      md5: hash?.digest('hex') ?? null,
      publish: async () => await writer?.publish(),
      discard: discardAll,
    };
  } catch (error) {
    await discardAll();
    throw error;
  }
}
