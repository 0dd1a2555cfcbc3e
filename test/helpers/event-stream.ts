/** One message of a stream of server-sent events. */
export interface StreamMessage {
  readonly id: string | undefined;
  readonly event: string | undefined;
  readonly data: { readonly [key: string]: unknown };
}

/** The whole messages of a stream, comments left out. */
export function parseEventStream(text: string): StreamMessage[] {
  return text
    .split('\n\n')
    .slice(0, -1)
    .filter((block) => /^data: /m.test(block))
    .map((block) => {
      const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1];
      return {
        id: field('id'),
        event: field('event'),
        data: JSON.parse(field('data') ?? '') as StreamMessage['data'],
      };
    });
}
