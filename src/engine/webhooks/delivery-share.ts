/** How many deliveries one receiver may have under way, so that one that never answers holds up nobody else's. */
export interface DeliveryShare {
  readonly perReceiver: number;
  /** The URLs of what is under way. */
  readonly held: readonly string[];
}

/** Answers whether a delivery to the URL still fits into its receiver's share, and counts it where it does. */
export function createShareOut({ perReceiver, held }: DeliveryShare): (url: string) => boolean {
  const counts = new Map<string, number>();
  const receiverOf = createReceivers();
  function take(url: string): boolean {
    const receiver = receiverOf(url);
    const count = counts.get(receiver) ?? 0;
    if (count >= perReceiver) return false;
    counts.set(receiver, count + 1);
    return true;
  }
  for (const url of held) take(url);
  return take;
}

/**
 * How a URL writes its receiver: what stands before path and query, which often differ from batch to batch. The text itself where it
 * is no URL. Several such texts may mean one receiver.
 */
export function receiverText(url: string): string {
  return /^[^:]*:\/\/[^/\\?#]*/.exec(url)?.[0] ?? url;
}

/** A URL → its origin (the text itself where it is no URL), parsed once for each way in which it is written. */
function createReceivers(): (url: string) => string {
  const receivers = new Map<string, string>();
  return (url) => {
    const written = receiverText(url);
    let receiver = receivers.get(written);
    if (receiver === undefined) receivers.set(written, (receiver = URL.parse(written)?.origin ?? written));
    return receiver;
  };
}
