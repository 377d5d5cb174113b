import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { TailConnection, tailUrl } from '@/features/explore/live/tail-connection';
import { readTailMessage } from '@/features/explore/live/tail-protocol';

class FakeSocket extends EventTarget {
  static all: FakeSocket[] = [];
  sent: string[] = [];
  constructor(readonly url: string) {
    super();
    FakeSocket.all.push(this);
  }
  send(text: string) {
    this.sent.push(text);
  }
  close() {
    this.dispatchEvent(new Event('close'));
  }
  receive(data: unknown) {
    this.dispatchEvent(new MessageEvent('message', { data }));
  }
}

beforeEach(() => {
  FakeSocket.all = [];
  vi.stubGlobal('WebSocket', FakeSocket);
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

it('sends the query, and again after each reconnect, waiting longer each time', () => {
  const onStatus = vi.fn();
  const tail = new TailConnection('ws://x/tail', 'level:error', { onMessage: () => undefined, onStatus });
  FakeSocket.all[0]?.dispatchEvent(new Event('open'));
  expect(FakeSocket.all[0]?.sent).toEqual(['{"q":"level:error"}']);
  FakeSocket.all[0]?.receive('{"type":"ready","q":"level:error"}');
  expect(onStatus).toHaveBeenLastCalledWith('live');

  FakeSocket.all[0]?.close();
  expect(onStatus).toHaveBeenLastCalledWith('reconnecting', expect.any(Number));
  vi.advanceTimersByTime(500);
  expect(FakeSocket.all).toHaveLength(2);
  FakeSocket.all[1]?.close();
  const wait = onStatus.mock.lastCall?.[1];
  expect(wait).toBeGreaterThanOrEqual(500);
  vi.advanceTimersByTime(1_000);
  expect(FakeSocket.all).toHaveLength(3);

  tail.close();
  vi.advanceTimersByTime(60_000);
  expect(FakeSocket.all).toHaveLength(3);
});

it('passes over messages that it does not know', () => {
  const onMessage = vi.fn();
  new TailConnection('ws://x/tail', '', { onMessage, onStatus: () => undefined });
  for (const data of ['{', 'null', '[]', '{"type":"later"}', new Blob()]) FakeSocket.all[0]?.receive(data);
  expect(onMessage).not.toHaveBeenCalled();
});

it('reads records, drops and errors', () => {
  expect(readTailMessage('{"type":"records","records":[{"id":"a"},{"junk":1}]}')).toMatchObject({
    records: [{ id: 'a' }],
  });
  expect(readTailMessage('{"type":"dropped","count":7}')).toEqual({ type: 'dropped', count: 7 });
  expect(readTailMessage('{"type":"error","detail":"no","position":3}')).toMatchObject({
    message: 'no',
    position: 3,
  });
});

it('follows the scheme of the page, and names the project', () => {
  const place = { protocol: 'https:', host: 'logs.example' };
  expect(tailUrl(place, undefined)).toBe('wss://logs.example/api/v1/tail');
  expect(tailUrl(place, 'shop')).toBe('wss://logs.example/api/v1/tail?project=shop');
});
