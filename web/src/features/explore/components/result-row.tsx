/** One record as a row of the table. Rows are drawn again only when something of theirs changes. */
import { memo, type ReactNode } from 'react';
import { LevelBadge } from '@/components/level-badge';
import classes from '@/features/explore/components/result-row.module.css';
import { levelGroup } from '@/lib/level';
import { splitMatches } from '@/lib/query/highlight';
import { fieldValue, type LogRecord } from '@/lib/record';
import { rowText, valueText } from '@/lib/text';
import { fullTime, rowTime, shortTime } from '@/lib/time/timestamp';

export const ROW_PX = 26;
export const NARROW_ROW_PX = 52;

interface ResultRowProps {
  record: LogRecord;
  /** Its place among all rows, from 0. */
  index: number;
  columns: readonly string[];
  pattern: RegExp | undefined;
  /** Distance from the top of the list, in pixels. */
  top: number;
  narrow: boolean;
  active: boolean;
  opened: boolean;
  onOpen: (record: LogRecord) => void;
}

export const ResultRow = memo(function ResultRow(props: ResultRowProps) {
  const { record, index, top, narrow, active, opened, onOpen } = props;
  const open = () => {
    // Marking text with the mouse is no click.
    if (window.getSelection()?.toString() === '') onOpen(record);
  };
  return (
    <div
      role="row"
      id={rowId(record.id)}
      aria-rowindex={index + 2}
      aria-selected={opened}
      data-active={active || undefined}
      className={narrow ? `${classes.row} ${classes.narrow}` : classes.row}
      style={
        {
          transform: `translateY(${top}px)`,
          '--mark': `var(--bar-${levelGroup(record.level)})`,
        } as React.CSSProperties
      }
      onClick={open}
    >
      {narrow ? <NarrowCells {...props} /> : <WideCells {...props} />}
    </div>
  );
});

export function rowId(recordId: string): string {
  return `row-${recordId}`;
}

function WideCells({ record, columns, pattern }: ResultRowProps) {
  return (
    <>
      {columns.map((name) => (
        <div
          key={name}
          role="gridcell"
          className={`${classes.cell} ${name === 'timestamp' ? classes.time : ''}`}
        >
          <ColumnValue record={record} name={name} />
        </div>
      ))}
      <Message record={record} pattern={pattern} />
    </>
  );
}

function NarrowCells({ record, columns, pattern }: ResultRowProps) {
  return (
    <>
      <div role="gridcell" className={classes.meta}>
        <span title={fullTime(record.timestamp)}>{shortTime(record.timestamp)}</span>
        {columns
          .filter((name) => name !== 'timestamp')
          .map((name) => (
            <span key={name} className={classes.cell} style={{ padding: 0 }}>
              <ColumnValue record={record} name={name} />
            </span>
          ))}
      </div>
      <Message record={record} pattern={pattern} />
    </>
  );
}

function ColumnValue({ record, name }: { record: LogRecord; name: string }): ReactNode {
  if (name === 'timestamp')
    return <span title={fullTime(record.timestamp)}>{rowTime(record.timestamp)}</span>;
  if (name === 'level') return <LevelBadge level={record.level} />;
  const value = fieldValue(record, name);
  if (value === undefined || value === null) return <span className={classes.absent}>–</span>;
  return rowText(valueText(value));
}

function Message({ record, pattern }: { record: LogRecord; pattern: RegExp | undefined }) {
  const text = rowText(record.message);
  return (
    <div role="gridcell" className={`${classes.cell} ${classes.message}`}>
      {text === '' ? (
        <span className={classes.absent}>(empty message)</span>
      ) : pattern === undefined ? (
        text
      ) : (
        splitMatches(text, pattern).map((piece, at) =>
          // biome-ignore lint/suspicious/noArrayIndexKey: pieces have no identity but their place
          at % 2 === 0 ? piece : <mark key={at}>{piece}</mark>,
        )
      )}
    </div>
  );
}
