/** One dead letter: why, what, and what can be done with it. */
import { Button } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { ConfirmButton } from '@/components/confirm-button';
import { CopyButton } from '@/components/copy-button';
import { errorText } from '@/components/error-state';
import { Icon } from '@/components/icon';
import { LevelBadge } from '@/components/level-badge';
import { dropDeadLetter } from '@/features/dead-letters/api/drop-dead-letter';
import { type DeadLetter, deadLettersQuery } from '@/features/dead-letters/api/get-dead-letters';
import { retryDeadLetter } from '@/features/dead-letters/api/retry-dead-letter';
import classes from '@/features/dead-letters/components/dead-letters-page.module.css';
import { plural } from '@/lib/format';
import { DETAIL_CHARS_MAX, rowText, visible } from '@/lib/text';
import { fullTime, relativeTime } from '@/lib/time/timestamp';

export function DeadLetterItem({ letter }: { letter: DeadLetter }) {
  const [shown, setShown] = useState(false);
  const client = useQueryClient();
  const onSuccess = () => client.invalidateQueries({ queryKey: deadLettersQuery.queryKey });
  const retry = useMutation({ mutationFn: retryDeadLetter, onSuccess });
  const drop = useMutation({ mutationFn: dropDeadLetter, onSuccess });
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
            onClick={() => retry.mutate(letter.id)}
          >
            Retry
          </Button>
          <ConfirmButton
            label="Drop"
            describe={`Drop dead letter ${letter.id}`}
            question="The record is deleted and can’t be stored any more. The ledger counts it as deleted."
            loading={drop.isPending}
            onConfirm={() => drop.mutate(letter.id)}
          />
        </span>
      </div>
      <div className={classes.meta}>
        <time dateTime={letter.at} title={fullTime(letter.at)}>
          {relativeTime(letter.at, Date.now()) || 'time unknown'}
        </time>
        {letter.service !== undefined && <span>{letter.service}</span>}
        {letter.level !== undefined && <LevelBadge level={letter.level} />}
        {letter.project !== '' && <span>project {letter.project}</span>}
        {letter.attempts !== undefined && <span>{plural(letter.attempts, 'attempt')}</span>}
      </div>
      {shown ? (
        <Raw letter={letter} />
      ) : (
        <div className={classes.message}>{rowText(letter.message) || '(no message)'}</div>
      )}
      {failure !== null && (
        <p className={classes.error} role="alert">
          {errorText(failure)}
        </p>
      )}
    </li>
  );
}

function Raw({ letter }: { letter: DeadLetter }) {
  const text = JSON.stringify(letter.raw, null, 2);
  return (
    <>
      <pre className={classes.raw}>{visible(text.slice(0, DETAIL_CHARS_MAX * 4))}</pre>
      <CopyButton text={text} label="Copy dead letter as JSON" />
    </>
  );
}
