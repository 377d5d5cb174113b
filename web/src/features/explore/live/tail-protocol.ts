/** The messages of the tail's WebSocket, narrowed. */
import { asNumber, asObject, asString, narrowList } from '@/lib/narrow';
import { type LogRecord, narrowRecord } from '@/lib/record';

export type TailMessage =
  | { type: 'ready'; query: string }
  | { type: 'records'; records: LogRecord[] }
  | { type: 'dropped'; count: number }
  | { type: 'error'; message: string; position: number | undefined; hint: string | undefined };

/** Undefined for what is no message of ours: kinds to come are passed over. */
export function readTailMessage(data: unknown): TailMessage | undefined {
  const message = parse(data);
  switch (message.type) {
    case 'ready':
      return { type: 'ready', query: asString(message.q) ?? '' };
    case 'records':
      return { type: 'records', records: narrowList(message.records, narrowRecord) };
    case 'dropped':
      return { type: 'dropped', count: asNumber(message.count) ?? 0 };
    case 'error':
      return {
        type: 'error',
        message: asString(message.detail) ?? 'The live tail failed.',
        position: asNumber(message.position),
        hint: asString(message.hint),
      };
    default:
      return undefined;
  }
}

function parse(data: unknown) {
  if (typeof data !== 'string') return {};
  try {
    return asObject(JSON.parse(data));
  } catch {
    return {};
  }
}
