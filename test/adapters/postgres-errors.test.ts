import { describe, expect, it } from 'vitest';
import { isConnectionLost, toStorageError } from '../../src/adapters/postgres/errors.ts';

const withCode = (code: string) => Object.assign(new Error('x'), { code });

describe('errors of a PostgreSQL database', () => {
  it.each([
    ['ECONNREFUSED', 'ECONNREFUSED'],
    ['EAI_AGAIN', 'EAI_AGAIN'],
    ['57P01', 'EPG57P01'],
    ['25006', 'EPG25006'],
    ['25P03', 'ECONNRESET'],
  ])('%s means that the connection is lost, and is told as %s', (code, told) => {
    expect(isConnectionLost(withCode(code))).toBe(true);
    expect(toStorageError(withCode(code))).toMatchObject({ code: told });
  });

  it.each([
    ['53100', 'ENOSPC'],
    ['53300', 'EPG53300'],
    ['40001', 'EPG40001'],
  ])('%s leaves the connection as it is, and is told as %s', (code, told) => {
    expect(isConnectionLost(withCode(code))).toBe(false);
    expect(toStorageError(withCode(code))).toMatchObject({ code: told });
  });

  it.each(['23505', '42601', 'ERR_INVALID_ARG_TYPE'])('%s is a fault of this program', (code) => {
    const error = withCode(code);
    expect(isConnectionLost(error)).toBe(false);
    expect(toStorageError(error)).toBe(error);
  });
});
