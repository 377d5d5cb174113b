/** The message of a record: as sent, or laid out when it is JSON; control characters shown, huge ones cut. */
import { Button } from '@mantine/core';
import { useState } from 'react';
import { CopyButton } from '@/components/copy-button';
import classes from '@/features/explore/components/detail-panel.module.css';
import { levelGroup } from '@/lib/level';
import type { LogRecord } from '@/lib/record';
import { DETAIL_CHARS_MAX, visible } from '@/lib/text';

export function RecordMessage({ record }: { record: LogRecord }) {
  const [all, setAll] = useState(false);
  const [formatted, setFormatted] = useState(false);
  const pretty = formatted ? prettyJson(record.message) : undefined;
  const text = pretty ?? record.message;
  const cut = !all && text.length > DETAIL_CHARS_MAX;
  return (
    <div
      className={classes.messageBlock}
      style={{ '--mark': `var(--bar-${levelGroup(record.level)})` } as React.CSSProperties}
    >
      <pre className={classes.message}>
        {text === '' ? '(empty message)' : visible(cut ? text.slice(0, DETAIL_CHARS_MAX) : text)}
      </pre>
      <span className={classes.messageCopy}>
        <CopyButton text={record.message} label="Copy message" />
      </span>
      {(cut || looksLikeJson(record.message)) && (
        <div className={classes.messageTools}>
          {cut && (
            <Button variant="subtle" size="compact-xs" onClick={() => setAll(true)}>
              Show all {text.length.toLocaleString('en-US')} characters
            </Button>
          )}
          {looksLikeJson(record.message) && (
            <Button variant="subtle" color="gray" size="compact-xs" onClick={() => setFormatted(!formatted)}>
              {formatted ? 'As sent' : 'Format JSON'}
            </Button>
          )}
        </div>
      )}
    </div>
  );
}

function looksLikeJson(text: string): boolean {
  const trimmed = text.trim();
  return (
    (trimmed.startsWith('{') && trimmed.endsWith('}')) || (trimmed.startsWith('[') && trimmed.endsWith(']'))
  );
}

function prettyJson(text: string): string | undefined {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return undefined;
  }
}
