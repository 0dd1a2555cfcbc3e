/** The members of errors that many requests share, for `refusal`. */

export function missing(param: string) {
  return { message: `Missing required parameter: '${param}'.`, param, code: 'missing_required_parameter' };
}

export function wrongType(param: string, expected: string, got: string) {
  const message = `Invalid type for '${param}': expected ${expected}, but got ${got} instead.`;
  return { message, param, code: 'invalid_type' };
}

export function aboveMaximum(param: string, maximum: number, got: number | string) {
  const message = `Invalid '${param}': integer above maximum value. Expected a value <= ${maximum}, but got ${got} instead.`;
  return { message, param, code: 'integer_above_max_value' };
}

export function belowMinimum(param: string, minimum: number, got: number) {
  const message = `Invalid '${param}': integer below minimum value. Expected a value >= ${minimum}, but got ${got} instead.`;
  return { message, param, code: 'integer_below_min_value' };
}

/** `supported` is quoted as the message has it. */
export function invalidValue(param: string, value: string, supported: string) {
  const message = `Invalid value: '${value}'. Supported values are: ${supported}.`;
  return { message, param, code: 'invalid_value' };
}
