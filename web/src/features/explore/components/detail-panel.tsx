/** One record in full: message, tree, and what happened around it. */
import { ActionIcon, Skeleton, Tooltip, UnstyledButton } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { CopyButton } from '@/components/copy-button';
import { ErrorBoundary } from '@/components/error-boundary';
import { ErrorState } from '@/components/error-state';
import { Icon, type IconName } from '@/components/icon';
import { LevelBadge } from '@/components/level-badge';
import { MessageState } from '@/components/message-state';
import { contextQuery } from '@/features/explore/api/context';
import { ContextView } from '@/features/explore/components/context-view';
import classes from '@/features/explore/components/detail-panel.module.css';
import { RecordMessage } from '@/features/explore/components/record-message';
import { RecordTree } from '@/features/explore/components/record-tree';
import type { ValueActionHandlers } from '@/features/explore/components/value-actions';
import { isStatus } from '@/lib/api/api-error';
import { useProject } from '@/lib/project';
import type { LogRecord } from '@/lib/record';
import { fullTime, relativeTime } from '@/lib/time/timestamp';

interface DetailPanelProps {
  id: string;
  /** The record when the table has it; a link's record is asked for by its id. */
  loaded: LogRecord | undefined;
  context: boolean;
  handlers: ValueActionHandlers;
  onContext: (context: boolean) => void;
  onMove: (step: number) => void;
  onOpen: (record: LogRecord) => void;
  onClose: () => void;
}

export default function DetailPanel(props: DetailPanelProps) {
  const { id, loaded, context, handlers, onContext, onOpen } = props;
  const fetched = useQuery({
    ...contextQuery(useProject(), { id, neighbours: 0, same: undefined }),
    enabled: loaded === undefined,
  });
  const record = loaded ?? fetched.data?.record;
  return (
    <div className={classes.panel} data-testid="record-detail">
      <Head {...props} record={record} />
      {record === undefined ? (
        <Missing error={fetched.error} onRetry={() => fetched.refetch()} />
      ) : (
        <>
          <div className={classes.tabs} role="tablist" aria-label="Record views">
            <Tab label="Record" selected={!context} onSelect={() => onContext(false)} />
            <Tab label="Context" selected={context} onSelect={() => onContext(true)} />
          </div>
          <div className={classes.body} role="tabpanel" aria-label={context ? 'Context' : 'Record'}>
            <ErrorBoundary what="this record" resetKey={`${record.id}${context}`}>
              {context ? (
                <ContextView record={record} onOpen={onOpen} />
              ) : (
                <>
                  <RecordMessage key={record.id} record={record} />
                  <RecordTree record={record} handlers={handlers} />
                </>
              )}
            </ErrorBoundary>
          </div>
        </>
      )}
    </div>
  );
}

function Head({ record, onMove, onClose }: DetailPanelProps & { record: LogRecord | undefined }) {
  return (
    <header className={classes.head}>
      <div className={classes.when}>
        {record && (
          <>
            <LevelBadge level={record.level} />
            <span className={classes.time} title={relativeTime(record.timestamp, Date.now())}>
              {fullTime(record.timestamp)}
            </span>
          </>
        )}
      </div>
      <div className={classes.tools}>
        <Tool icon="chevron-up" label="Previous record (k)" onClick={() => onMove(-1)} />
        <Tool icon="chevron-down" label="Next record (j)" onClick={() => onMove(1)} />
        {record && <CopyButton text={() => JSON.stringify(record, null, 2)} label="Copy record as JSON" />}
        <CopyButton text={() => window.location.href} label="Copy link to record" icon="link" />
        <Tool icon="x" label="Close (Esc)" onClick={onClose} />
      </div>
    </header>
  );
}

function Tool({ icon, label, onClick }: { icon: IconName; label: string; onClick: () => void }) {
  return (
    <Tooltip label={label}>
      <ActionIcon aria-label={label} onClick={onClick}>
        <Icon name={icon} size={16} />
      </ActionIcon>
    </Tooltip>
  );
}

function Tab({ label, selected, onSelect }: { label: string; selected: boolean; onSelect: () => void }) {
  return (
    <UnstyledButton role="tab" aria-selected={selected} className={classes.tab} onClick={onSelect}>
      {label}
    </UnstyledButton>
  );
}

function Missing({ error, onRetry }: { error: unknown; onRetry: () => void }) {
  if (isStatus(error, 404)) {
    return (
      <MessageState icon="inbox" title="This record is not here">
        It was deleted, it is not stored yet, or the link belongs to another project.
      </MessageState>
    );
  }
  if (error) return <ErrorState error={error} title="The record did not load" onRetry={onRetry} />;
  return (
    <div style={{ padding: 16 }} role="status" aria-label="Loading the record">
      <Skeleton height={64} mb={20} />
      {[60, 80, 45, 70, 55].map((width) => (
        <Skeleton key={width} height={12} my={10} width={`${width}%`} />
      ))}
    </div>
  );
}
