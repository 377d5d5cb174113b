/** One dead letter: why, what, and what can be done with it. */

import { Button, Skeleton } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { Alarm } from '@/components/alarm';
import { ConfirmButton } from '@/components/confirm-button';
import { CopyButton } from '@/components/copy-button';
import { errorText } from '@/components/error-state';
import { Icon } from '@/components/icon';
import { LevelBadge } from '@/components/level-badge';
import { dropDeadLetter } from '@/features/dead-letters/api/drop-dead-letter';
import { deadLetterQuery } from '@/features/dead-letters/api/get-dead-letter';
import { type DeadLetter, deadLettersQuery } from '@/features/dead-letters/api/get-dead-letters';
import { retryDeadLetter } from '@/features/dead-letters/api/retry-dead-letter';
import classes from '@/features/dead-letters/components/dead-letters-page.module.css';
import { formatBytes } from '@/lib/format';
import { useProject } from '@/lib/project';
import { DETAIL_CHARS_MAX, rowText, visible } from '@/lib/text';
import { fullTime, relativeTime } from '@/lib/time/timestamp';

export function DeadLetterItem({ letter }: { letter: DeadLetter }) {
  const [shown, setShown] = useState(false);
  const client = useQueryClient();
  const project = useProject();
  const onSuccess = () => client.invalidateQueries({ queryKey: deadLettersQuery(project).queryKey });
  const retry = useMutation({ mutationFn: () => retryDeadLetter(project, letter.id), onSuccess });
  const drop = useMutation({ mutationFn: () => dropDeadLetter(project, letter.id), onSuccess });
  const failure = retry.error ?? drop.error;
  return (
    <li className={classes.letter}>
      <div className={classes.top}>
        <span className={classes.reason}>{visible(letter.reason)}</span>
        <span className={classes.actions}>
          <Button
            variant="subtle"
            color="gray"
            size="compact-sm"
            onClick={() => setShown(!shown)}
            aria-expanded={shown}
          >
            {shown ? 'Hide' : 'Show all'}
          </Button>
          <Button
            variant="default"
            size="compact-sm"
            leftSection={<Icon name="rotate-clockwise" size={13} />}
            loading={retry.isPending}
            onClick={() => retry.mutate()}
          >
            Retry
          </Button>
          <ConfirmButton
            label="Drop"
            describe={`Drop dead letter ${letter.id}`}
            question="The record is deleted and can’t be stored any more. The ledger still counts it as a dead letter."
            loading={drop.isPending}
            onConfirm={() => drop.mutate()}
          />
        </span>
      </div>
      <Summary letter={letter} />
      {shown ? <Whole id={letter.id} /> : <Message letter={letter} />}
      {failure !== null && (
        <div className={classes.error}>
          <Alarm>{errorText(failure)}</Alarm>
        </div>
      )}
    </li>
  );
}

function Summary({ letter: { at, record, payload_bytes, partition, position } }: { letter: DeadLetter }) {
  return (
    <div className={classes.meta}>
      <time dateTime={at} title={fullTime(at)}>
        {relativeTime(at, Date.now())}
      </time>
      {record && <span>{record.service}</span>}
      {record?.level && <LevelBadge level={record.level} />}
      <span>{formatBytes(payload_bytes)}</span>
      <span title="Where its message stands in the queue">
        partition {partition}, position {position}
      </span>
    </div>
  );
}

function Message({ letter: { record } }: { letter: DeadLetter }) {
  if (record) return <div className={classes.message}>{rowText(record.message) || '(empty message)'}</div>;
  return <div className={classes.absent}>Too large for this list, or not readable as a record.</div>;
}

function Whole({ id }: { id: string }) {
  const letter = useQuery(deadLetterQuery(useProject(), id));
  if (letter.isError) return <Alarm>{errorText(letter.error)}</Alarm>;
  if (letter.isPending) return <Skeleton height={120} mt={8} role="status" aria-label="Loading the record" />;
  const text = JSON.stringify(letter.data, null, 2);
  return (
    <div className={classes.whole}>
      <pre className={classes.raw}>{visible(text.slice(0, DETAIL_CHARS_MAX * 4))}</pre>
      <span className={classes.copy}>
        <CopyButton text={text} label="Copy dead letter as JSON" />
      </span>
    </div>
  );
}
