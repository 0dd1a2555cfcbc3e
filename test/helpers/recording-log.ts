import type { Log } from '../../src/engine/index.ts';

export interface RecordingLog extends Log {
  readonly entries: readonly { readonly level: string; readonly message: string; readonly fields: object }[];
}

/** A log that keeps what it is told. */
export function createRecordingLog(): RecordingLog {
  const entries: { level: string; message: string; fields: object }[] = [];
  const at = (level: string) => (fields: object, message: string) =>
    void entries.push({ level, message, fields });
  return { entries, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}
