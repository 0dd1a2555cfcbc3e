import { z } from 'zod';
import type { Operations } from './operation.ts';

export const serviceOperations: Operations = {
  'GET /health/live': {
    summary: 'Is the process alive?',
    answer: z.strictObject({ status: z.literal('ok') }),
  },
  'GET /health/ready': {
    summary: 'Can it do its work?',
    answer: z.strictObject({ status: z.literal('ready') }),
    errors: [503],
  },
};
