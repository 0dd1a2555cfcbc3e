import type { z } from 'zod';

/** What a route takes and answers, for the description of the API. */
export interface Operation {
  readonly summary: string;
  /** More than the summary says. */
  readonly description?: string;
  readonly query?: z.ZodType;
  readonly headers?: z.ZodType;
  /** JSON. */
  readonly body?: z.ZodType;
  /** A form with files. */
  readonly form?: z.ZodType;
  /** What a success answers; an object: JSON, a string: that content type. */
  readonly answer: z.ZodType | { readonly type: string; readonly schema: z.ZodType };
  /** Statuses of its refusals, besides those of all routes. */
  readonly errors?: readonly number[];
}

/** By method and path, as the routes are registered. */
export type Operations = Readonly<Record<string, Operation>>;
