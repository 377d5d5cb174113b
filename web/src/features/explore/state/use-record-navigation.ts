/** Which row the keyboard is on, which record is open, and moving between them. */
import { notifications } from '@mantine/notifications';
import { type RefObject, useCallback, useMemo, useRef, useState } from 'react';
import type { TableHandle } from '@/features/explore/components/results-table';
import type { ExploreState } from '@/features/explore/state/url-state';
import type { UpdateExplore } from '@/features/explore/state/use-explore-state';
import { copyText } from '@/lib/clipboard';
import type { LogRecord } from '@/lib/record';

export interface RecordNavigation {
  activeId: string | undefined;
  openRecord: LogRecord | undefined;
  open: (record: LogRecord) => void;
  openActive: () => void;
  close: () => void;
  move: (step: number) => void;
  copyActive: () => void;
  showContext: () => void;
  table: RefObject<TableHandle | null>;
}

export function useRecordNavigation(
  records: readonly LogRecord[],
  state: ExploreState,
  update: UpdateExplore,
): RecordNavigation {
  const table = useRef<TableHandle>(null);
  const [cursorId, setCursorId] = useState<string>();
  const activeId = state.record ?? cursorId;
  const active = useMemo(() => records.find((item) => item.id === activeId), [records, activeId]);
  const latest = useRef({ records, state, activeId });
  latest.current = { records, state, activeId };

  const open = useCallback(
    (record: LogRecord) => {
      const wasOpen = latest.current.state.record !== undefined;
      setCursorId(record.id);
      // Looking through records is one step back in the history, not one for each record.
      update({ record: record.id }, { replace: wasOpen });
    },
    [update],
  );
  const move = useCallback(
    (step: number) => {
      const { records: rows, state: now, activeId: id } = latest.current;
      const at = rows.findIndex((item) => item.id === id);
      const index = at < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, at + step));
      const next = rows[index];
      if (next === undefined) return;
      table.current?.scrollTo(index);
      if (now.record === undefined) setCursorId(next.id);
      else open(next);
    },
    [open],
  );
  return {
    activeId,
    openRecord: state.record === undefined ? undefined : active,
    open,
    openActive: () => active && open(active),
    close: () => update({ record: undefined, context: false }),
    move,
    copyActive: () => active && void copyRecord(active),
    showContext: () => active && update({ record: active.id, context: true }),
    table,
  };
}

async function copyRecord(record: LogRecord): Promise<void> {
  const copied = await copyText(JSON.stringify(record, null, 2));
  notifications.show({
    message: copied
      ? 'Record copied as JSON'
      : 'The browser refused to copy; open the record and copy by hand',
    color: copied ? 'green' : 'red',
    autoClose: 2_000,
  });
}
