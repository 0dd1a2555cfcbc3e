import { describe, expect, it } from 'vitest';
import { BlobMissingError, EngineError, storageError } from '../../src/engine/errors.ts';

const withCode = (code: string) => Object.assign(new Error('x'), { code });

describe('storage that fails', () => {
  it.each(['ENOSPC', 'EDQUOT', 'SQLITE_FULL'])('with %s has no space left', (code) => {
    expect(storageError(withCode(code))).toMatchObject({ name: 'EngineError', code: 'out_of_space' });
  });

  it.each(['EIO', 'ECONNREFUSED', 'EAI_AGAIN', 'EPG57P01', 'ES3SLOWDOWN', 'SQLITE_BUSY'])(
    'with %s is unavailable',
    (code) => {
      expect(storageError(withCode(code))).toMatchObject({ name: 'EngineError', code: 'unavailable' });
    },
  );

  it('without a blob is unavailable', () => {
    expect(storageError(new BlobMissingError('k'))).toMatchObject({ code: 'unavailable' });
  });

  it('is not what faults of this program are, nor what was told already', () => {
    const errors = [
      new TypeError('x'),
      withCode('ERR_INVALID_ARG_TYPE'),
      withCode('42601'),
      new EngineError('conflict', 'x'),
      'x',
    ];
    for (const error of errors) expect(storageError(error)).toBe(error);
  });
});
