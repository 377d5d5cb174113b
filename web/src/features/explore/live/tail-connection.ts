/** One WebSocket that comes back by itself: exponential backoff with jitter, the query sent again each time. */

import { readTailMessage, type TailMessage } from '@/features/explore/live/tail-protocol';
import { apiUrl, type Project } from '@/lib/api/client';

export type TailStatus = 'connecting' | 'live' | 'reconnecting' | 'refused';

export interface TailHandlers {
  onMessage: (message: TailMessage) => void;
  /** `retryMs`: how long until the next attempt, when one is due. */
  onStatus: (status: TailStatus, retryMs?: number) => void;
}

const BACKOFF_MIN_MS = 500;
const BACKOFF_MAX_MS = 15_000;

export class TailConnection {
  private socket: WebSocket | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private attempts = 0;
  private closed = false;

  constructor(
    private readonly url: string,
    private readonly query: string,
    private readonly handlers: TailHandlers,
  ) {
    this.open();
  }

  /** Tries at once instead of waiting out the backoff. */
  reconnect(): void {
    if (this.closed || this.socket !== undefined) return;
    clearTimeout(this.timer);
    this.open();
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
    this.socket?.close();
  }

  private open(): void {
    this.handlers.onStatus(this.attempts === 0 ? 'connecting' : 'reconnecting');
    const socket = new WebSocket(this.url);
    this.socket = socket;
    socket.addEventListener('open', () => this.send());
    socket.addEventListener('message', (event) => this.receive(event.data));
    socket.addEventListener('close', () => this.retry());
  }

  private send(): void {
    this.socket?.send(JSON.stringify({ q: this.query }));
  }

  private receive(data: unknown): void {
    if (this.closed) return;
    const message = readTailMessage(data);
    if (message === undefined) return;
    if (message.type === 'ready') {
      this.attempts = 0;
      this.handlers.onStatus('live');
    }
    if (message.type === 'error') this.handlers.onStatus('refused');
    this.handlers.onMessage(message);
  }

  private retry(): void {
    this.socket = undefined;
    if (this.closed) return;
    const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** this.attempts);
    const wait = Math.round(ceiling * (0.5 + Math.random() / 2));
    this.attempts += 1;
    this.handlers.onStatus('reconnecting', wait);
    this.timer = setTimeout(() => this.open(), wait);
  }
}

export function tailUrl(location: Pick<Location, 'protocol' | 'host'>, project: Project): string {
  const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
  return `${scheme}://${location.host}${apiUrl('/api/v1/tail', project, undefined)}`;
}
