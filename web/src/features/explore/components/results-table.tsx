/** The virtual list of records: only rows in view are in the page, however many are loaded. */
import { useElementSize, useMergedRef } from '@mantine/hooks';
import { useVirtualizer } from '@tanstack/react-virtual';
import {
  type KeyboardEvent,
  type ReactNode,
  type Ref,
  useEffect,
  useImperativeHandle,
  useMemo,
  useRef,
} from 'react';
import { NARROW_ROW_PX, ResultRow, ROW_PX, rowId } from '@/features/explore/components/result-row';
import classes from '@/features/explore/components/results-table.module.css';
import { TableHeader } from '@/features/explore/components/table-header';
import { highlightPattern } from '@/lib/query/highlight';
import type { LogRecord } from '@/lib/record';

export interface TableHandle {
  scrollTo: (index: number) => void;
}

interface ResultsTableProps {
  records: readonly LogRecord[];
  columns: readonly string[];
  query: string;
  order: 'asc' | 'desc';
  /** The row that the keyboard is on. */
  activeId: string | undefined;
  /** The record that the detail panel shows. */
  openId: string | undefined;
  stale?: boolean;
  footer?: ReactNode;
  /** Floats over the newest rows: "12 new". */
  pill?: ReactNode;
  onOpen: (record: LogRecord) => void;
  onMove: (step: number) => void;
  onOrder?: () => void;
  onRemoveColumn: (name: string) => void;
  /** The end of the loaded rows is near. */
  onNearEnd?: () => void;
  onAtTop?: (atTop: boolean) => void;
  handle: Ref<TableHandle>;
}

const NARROW_PX = 640;
const NEAR_END_ROWS = 60;
const COLUMN_PX: Record<string, number> = { timestamp: 172, level: 68, service: 128, host: 120 };
const OTHER_COLUMN_PX = 150;
const MESSAGE_PX_MIN = 320;

export function ResultsTable(props: ResultsTableProps) {
  const { records, columns, activeId, openId, onNearEnd, onAtTop } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const { ref: sizeRef, width } = useElementSize<HTMLDivElement>();
  const narrow = width > 0 && width < NARROW_PX;
  const rowPx = narrow ? NARROW_ROW_PX : ROW_PX;
  const pattern = useMemo(() => highlightPattern(props.query), [props.query]);
  const virtualizer = useVirtualizer({
    count: records.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowPx,
    getItemKey: (index) => records[index]?.id ?? index,
    overscan: 12,
    scrollPaddingStart: 32,
    initialRect: { width: 800, height: 600 },
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: another row height makes all sizes stale
  useEffect(() => virtualizer.measure(), [rowPx, virtualizer]);
  useImperativeHandle(props.handle, () => ({ scrollTo: (index) => virtualizer.scrollToIndex(index) }), [
    virtualizer,
  ]);

  const items = virtualizer.getVirtualItems();
  const lastIndex = items.at(-1)?.index ?? -1;
  useEffect(() => {
    if (lastIndex >= records.length - NEAR_END_ROWS) onNearEnd?.();
  }, [lastIndex, records.length, onNearEnd]);

  return (
    <div className={classes.root}>
      <div
        ref={useMergedRef(scroller, sizeRef)}
        className={classes.scroll}
        role="grid"
        aria-label="Log records"
        aria-rowcount={records.length + 1}
        aria-activedescendant={activeId === undefined ? undefined : rowId(activeId)}
        data-stale={props.stale || undefined}
        tabIndex={0}
        onKeyDown={(event) => moveByKey(event, props)}
        onScroll={(event) => onAtTop?.(event.currentTarget.scrollTop < ROW_PX)}
      >
        <div className={classes.inner} style={narrow ? undefined : gridVariables(columns)}>
          {!narrow && <TableHeader {...props} />}
          <div className={classes.body} role="rowgroup" style={{ height: virtualizer.getTotalSize() }}>
            {items.map((item) => {
              const record = records[item.index];
              return (
                record && (
                  <ResultRow
                    key={item.key}
                    record={record}
                    index={item.index}
                    columns={columns}
                    pattern={pattern}
                    top={item.start}
                    narrow={narrow}
                    active={record.id === activeId}
                    opened={record.id === openId}
                    onOpen={props.onOpen}
                  />
                )
              );
            })}
          </div>
          <div className={classes.footer}>{props.footer}</div>
        </div>
      </div>
      {props.pill && <div className={classes.pill}>{props.pill}</div>}
    </div>
  );
}

function gridVariables(columns: readonly string[]) {
  const widths = columns.map((name) => COLUMN_PX[name] ?? OTHER_COLUMN_PX);
  const total = widths.reduce((sum, width) => sum + width, MESSAGE_PX_MIN + 14);
  return {
    '--table-columns': `${widths.map((width) => `${width}px`).join(' ')} minmax(${MESSAGE_PX_MIN}px, 1fr)`,
    '--table-min': `${total}px`,
  } as React.CSSProperties;
}

const KEY_STEPS: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, PageDown: 20, PageUp: -20 };

function moveByKey(event: KeyboardEvent, { onMove, onOpen, records, activeId }: ResultsTableProps): void {
  const step = KEY_STEPS[event.key];
  if (step !== undefined) {
    event.preventDefault();
    onMove(step);
  } else if (event.key === 'Enter') {
    const record = records.find((item) => item.id === activeId);
    if (record) onOpen(record);
    event.preventDefault();
  }
}
