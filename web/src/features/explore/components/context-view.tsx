/** The records before and after one record, oldest first, as they would stand in a log file. */
import { Button, SegmentedControl, Skeleton, UnstyledButton } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useEffect, useRef, useState } from 'react';
import { ErrorState } from '@/components/error-state';
import { LevelBadge } from '@/components/level-badge';
import { contextQuery } from '@/features/explore/api/context';
import classes from '@/features/explore/components/context-view.module.css';
import { useProject } from '@/lib/project';
import type { LogRecord } from '@/lib/record';
import { rowText } from '@/lib/text';
import { fullTime, shortTime } from '@/lib/time/timestamp';

const NEIGHBOURS = 20;
const NEIGHBOURS_MORE = 100;
const SAME_SOURCE = 'service,host';

interface ContextViewProps {
  record: LogRecord;
  onOpen: (record: LogRecord) => void;
}

export function ContextView({ record, onOpen }: ContextViewProps) {
  const [same, setSame] = useState(SAME_SOURCE);
  const [neighbours, setNeighbours] = useState(NEIGHBOURS);
  const context = useQuery(
    contextQuery(useProject(), { id: record.id, neighbours, same: same || undefined }),
  );
  return (
    <>
      <div className={classes.bar}>
        <SegmentedControl
          size="xs"
          value={same}
          onChange={setSame}
          data={[
            { value: SAME_SOURCE, label: 'Same service and host' },
            { value: '', label: 'Everything' },
          ]}
          aria-label="Which records to show"
        />
        {neighbours === NEIGHBOURS && (
          <Button variant="subtle" color="gray" onClick={() => setNeighbours(NEIGHBOURS_MORE)}>
            Show {NEIGHBOURS_MORE} each way
          </Button>
        )}
      </div>
      {context.isPending && <ContextSkeleton />}
      {context.isError && (
        <ErrorState
          error={context.error}
          title="The context did not load"
          onRetry={() => context.refetch()}
        />
      )}
      {context.data && (
        <ol className={classes.list} aria-label="Records around this one">
          {[...context.data.before, context.data.record, ...context.data.after].map((item) => (
            <Line
              key={item.id}
              item={item}
              current={item.id === record.id}
              showService={same === ''}
              onOpen={onOpen}
            />
          ))}
        </ol>
      )}
    </>
  );
}

interface LineProps {
  item: LogRecord;
  current: boolean;
  showService: boolean;
  onOpen: (record: LogRecord) => void;
}

function Line({ item, current, showService, onOpen }: LineProps) {
  const ref = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (current) ref.current?.scrollIntoView({ block: 'center' });
  }, [current]);
  return (
    <li>
      <UnstyledButton
        ref={ref}
        className={classes.line}
        aria-current={current || undefined}
        onClick={() => onOpen(item)}
      >
        <span className={classes.time} title={fullTime(item.timestamp)}>
          {shortTime(item.timestamp)}
        </span>
        <LevelBadge level={item.level} />
        <span className={classes.text}>
          {showService && <span className={classes.source}>{item.service}</span>}
          {rowText(item.message)}
        </span>
      </UnstyledButton>
    </li>
  );
}

function ContextSkeleton() {
  return (
    <div style={{ padding: '4px 16px' }} role="status" aria-label="Loading the context">
      {[70, 85, 60, 75, 50, 80, 65, 90].map((width) => (
        <Skeleton key={width} height={11} my={11} width={`${width}%`} />
      ))}
    </div>
  );
}
